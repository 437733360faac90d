/** The state directory: where it is, how it may be named, that it can be moved, and when orchesjob refuses it. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expectFailure } from "../support/expect.ts";
import { Gate } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { type RunOptions, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";
import { NOBODY, runAs } from "../support/users.ts";

setDefaultTimeout(TIMEOUT_MS);

describe("names", () => {
  test.each([
    ["relative", "here", "here"],
    ["relative and deep, with missing parents", "a/b/../c/d", "a/b/../c/d"],
    ["with trailing slashes", "slashes///", "slashes"],
    ["with blanks, quotes and a newline", "a 'b' \"c\"\nd", "a 'b' \"c\"\nd"],
    ["that SQLite could read as a URI", "q?mode=ro&x=#frag%41", "q?mode=ro&x=#frag%41"],
    ["in another script", "状態 🎉", "状態 🎉"],
  ])("%s", async (_, name, clean) => {
    await using box = new Sandbox();
    if (name.includes("..")) mkdirSync(join(box.directory, "a/b"), { recursive: true });
    const env = { ORCHESJOB_HOME: name };
    const job = await box.json(["start", "--run-key", "k", "--sync", "--", "echo", "x"], { env });
    expect(job.stdout_file).toBe(`${box.directory}/${clean}/logs/${job.job_id}.stdout`);
    expect(existsSync(job.stdout_file)).toBe(true);
    // The same directory, seen from another working directory.
    const absolute = { cwd: "/", env: { ORCHESJOB_HOME: `${box.directory}/${name}` } };
    expect(await box.json(["status", "--run-key", "k"], absolute)).toMatchObject({ job_id: job.job_id });
    expect((await box.run(["logs", "--run-key", "k"], absolute)).stdout).toBe("x\n");
  });
});

test("a moved state directory keeps its jobs", async () => {
  await using box = new Sandbox();
  const job = await box.json(["start", "--run-key", "k", "--sync", "--", "echo", "x"]);
  const moved = join(box.directory, "moved");
  renameSync(box.home, moved);
  const env = { ORCHESJOB_HOME: moved };
  const after = await box.json(["status", "--run-key", "k"], { env });
  expect(after).toMatchObject({ job_id: job.job_id, stdout_file: `${moved}/logs/${job.job_id}.stdout` });
  expect((await box.run(["logs", "--run-key", "k"], { env })).stdout).toBe("x\n");
  expect(existsSync(box.home)).toBe(false);
});

test("two state directories are independent of each other", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await box.json(["start", "--run-key", "k", "--", ...gate.command]);
  const env = { ORCHESJOB_HOME: join(box.directory, "second") };
  expectFailure(await box.run(["status", "--run-key", "k"], { env }), 3, "second");
  expect(await box.json(["start", "--run-key", "k", "--sync", "--", "true"], { env })).toMatchObject({
    accepted: true,
    attempt_no: 1,
  });
});

test("a directory that others may write to is refused and left untouched, with the command that fixes it", async () => {
  for (const mode of [0o770, 0o702, 0o777]) {
    await using box = new Sandbox();
    mkdirSync(box.home);
    chmodSync(box.home, mode);
    const start = ["start", "--run-key", "k", "--sync", "--", "true"];
    for (const words of [start, ["status", "--run-key", "k"], ["clean", "--before", "2100-01-01"]])
      expectFailure(await box.run(words), 4, `chmod 700 ${box.home}`);
    expect(readdirSync(box.home)).toEqual([]);
    chmodSync(box.home, 0o700);
    expect(await box.json(start)).toMatchObject({ status: "SUCCEEDED" });
  }
});

test("a symbolic link to a directory that others may write to is refused as well", async () => {
  await using box = new Sandbox();
  const open = join(box.directory, "open");
  mkdirSync(open);
  chmodSync(open, 0o777);
  symlinkSync(open, box.home);
  expectFailure(await box.run(["start", "--run-key", "k", "--", "true"]), 4, "chmod 700");
  expect(readdirSync(open)).toEqual([]);
});

describe("users", () => {
  const asNobody = (box: Sandbox, words: readonly string[], options: RunOptions = {}) =>
    runAs(NOBODY, box, words, options);

  testWith(
    ["root"],
    "root in a user's directory is refused, and the message says how to run it as the user",
    async () => {
      await using box = new Sandbox();
      mkdirSync(box.home, { mode: 0o700 });
      await box.execute(["chown", "65534:65534", box.home]);
      for (const words of [
        ["start", "--run-key", "k", "--", "true"],
        ["status", "--run-key", "k"],
      ])
        expectFailure(await box.run(words), 4, /sudo -u (nobody|'#65534') env ORCHESJOB_HOME=\S+ orchesjob/);
      expect(readdirSync(box.home)).toEqual([]);
    },
  );

  testWith(
    ["root"],
    "a user can use their own state directory from a working directory they may not read",
    async () => {
      await using box = new Sandbox();
      const cwd = join(box.directory, "closed", "inside");
      mkdirSync(cwd, { recursive: true });
      chmodSync(join(box.directory, "closed"), 0o700);
      chmodSync(box.directory, 0o777 | 0o1000);
      const words = ["start", "--run-key", "k", "--sync", "--", "id", "-u"];
      const result = await asNobody(box, words, { cwd });
      expect(result).toMatchObject({ code: 0, stderr: "" });
      const logs = await asNobody(box, ["logs", "--run-key", "k"], { cwd });
      expect(logs.stdout).toBe("65534\n");
    },
  );

  testWith(["root"], "if the directory cannot be made, the message names ORCHESJOB_HOME", async () => {
    await using box = new Sandbox();
    const words = ["start", "--run-key", "k", "--", "true"];
    for (const env of [{ ORCHESJOB_HOME: join(box.directory, "no", "way") }, { ORCHESJOB_HOME: "/proc/no" }])
      expectFailure(await asNobody(box, words, { env }), 1, "ORCHESJOB_HOME");
  });
});

test("the default directory is /var/lib/orchesjob, also if ORCHESJOB_HOME is empty", async () => {
  await using box = new Sandbox();
  for (const home of [undefined, ""]) {
    const result = await box.run(["status", "--job-id", "no-such-job"], { env: { ORCHESJOB_HOME: home } });
    expect(result.stdout).toBe("");
    expect(result.stderr).toContain("/var/lib/orchesjob");
  }
});
