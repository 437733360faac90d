/**
 * What the command inherits: umask, limits, niceness, directory, signals; and what it must not inherit: orchesjob's
 * descriptors.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Gate } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { childrenOf, readProc } from "../support/processes.ts";
import { Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { shell } from "../support/shell.ts";

setDefaultTimeout(TIMEOUT_MS);

/** Runs the same command in the same shell directly and as a job; returns what each printed. */
async function compare(
  box: Sandbox,
  setting: string,
  command: string,
): Promise<{ direct: string; job: string }> {
  const script = `${setting} ${command} >"$1/direct" && "$0" start --run-key k --sync -- ${command}`;
  const result = await shell(box, script, { words: [box.directory] });
  expect(result).toMatchObject({ code: 0, stderr: "" });
  return {
    direct: readFileSync(join(box.directory, "direct"), "utf8"),
    job: (await box.run(["logs", "--run-key", "k"])).stdout,
  };
}

describe("inherited", () => {
  test.each(["022", "000", "077", "027"])("umask %s", async (umask) => {
    await using box = new Sandbox();
    const { direct, job } = await compare(box, `umask ${umask};`, "sh -c umask");
    expect(direct).toBe(`0${umask}\n`);
    expect(job).toBe(direct);
  });

  test.each([
    ["as they come", ""],
    ["fewer open files, soft", "ulimit -Sn 256;"],
    ["fewer open files, soft and hard", "ulimit -Sn 200; ulimit -Hn 3000;"],
    ["few open files", "ulimit -n 64;"],
    ["others, soft and hard", "ulimit -Sc 0; ulimit -Ss 4096; ulimit -Hs 16384; ulimit -t 5000;"],
  ])("limits: %s", async (_, setting) => {
    await using box = new Sandbox();
    const { direct, job } = await compare(box, setting, "cat /proc/self/limits");
    expect(direct).toContain("Max open files");
    expect(job).toBe(direct);
  });

  testWith(
    ["root", "unshare"],
    "a job in a container that the caller enters from outside has the caller's limits",
    async () => {
      await using box = new Sandbox();
      await using gate = new Gate(box);
      const unshare = ["unshare", "--pid", "--fork", "--mount-proc", ...gate.command];
      const container = box.spawn(["sh", "-c", 'ulimit -Sn 256; exec "$@"', "sh", ...unshare]);
      // It is named unshare until the container is set up.
      const first = await until("the container's first process", () =>
        childrenOf(container.pid).find((pid) => readProc(pid, "comm") === "sh\n"),
      );
      const script = `ulimit -Sn 256; exec nsenter --target=${first} --pid --mount "$0" start --run-key k --sync -- sh -c "ulimit -Sn"`;
      expect((await shell(box, script)).code).toBe(0);
      expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe("256\n");
      gate.open();
      await box.finished(container);
    },
  );

  test("niceness", async () => {
    await using box = new Sandbox();
    await shell(box, 'nice -n 3 "$0" start --run-key k --sync -- nice');
    const own = (await box.execute(["nice"])).stdout;
    const nicer = Math.min(Number(own) + 3, 19);
    expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe(`${nicer}\n`);
  });

  test("the working directory, also with a name that is not UTF-8", async () => {
    await using box = new Sandbox();
    const setting = `d="$(printf 'na\\377me')"; mkdir "$d"; cd "$d"; touch here;`;
    const { direct, job } = await compare(box, setting, "sh -c 'ls; pwd -P | od -c'");
    expect(direct).toStartWith("here\n");
    expect(direct).toContain("377");
    expect(job).toBe(direct);
  });

  test("the working directory itself, even if it is renamed meanwhile", async () => {
    await using box = new Sandbox();
    const before = join(box.directory, "before");
    mkdirSync(before);
    writeFileSync(join(before, "file"), "found");
    await box.json(["start", "--run-key", "k", "--start-timeout", "0", "--", "cat", "file"], { cwd: before });
    renameSync(before, join(box.directory, "after"));
    mkdirSync(before);
    await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
    const [first] = (
      await box.json<{ job_id: string; status: string }[]>(["status", "--run-key", "k", "--all"])
    ).slice(-1);
    expect(first!.status).toBe("SUCCEEDED");
    expect((await box.run(["logs", "--job-id", first!.job_id])).stdout).toBe("found");
  });

  test("a relative command is looked up there, and a relative PATH entry too", async () => {
    await using box = new Sandbox();
    const tools = join(box.directory, "tools");
    mkdirSync(tools);
    writeFileSync(join(tools, "tool"), '#!/bin/sh\necho "I am $0 in $PWD"\n', { mode: 0o755 });
    for (const [command, path] of [
      ["tools/tool", undefined],
      ["./tools/tool", undefined],
      ["tool", `tools:${process.env["PATH"]}`],
    ] as const) {
      const env = path === undefined ? {} : { PATH: path };
      await box.json(["start", "--run-key", "k", "--sync", "--", command], { env });
      expect((await box.run(["logs", "--run-key", "k"])).stdout).toContain(` in ${box.directory}\n`);
    }
  });
});

describe("not inherited", () => {
  test("stdin is /dev/null, whatever the caller's was", async () => {
    await using box = new Sandbox();
    const command = ["sh", "-c", "readlink /proc/self/fd/0; cat; echo end"];
    await box.json(["start", "--run-key", "k", "--sync", "--", ...command], { stdin: "secret" });
    expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe("/dev/null\nend\n");
  });

  test("no descriptor but 0, 1 and 2, neither orchesjob's nor the caller's", async () => {
    await using box = new Sandbox();
    const script = 'exec 7>seven 8<"$0" 9>&1; "$0" start --run-key k --sync -- ls /proc/self/fd';
    expect((await shell(box, script)).code).toBe(0);
    // Descriptor 3 is ls's own, on the directory that it lists.
    expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe("0\n1\n2\n3\n");
  });

  test("the caller's pipes close with the caller, though the job continues", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    // The shell, and cat with it, ends only when no process has the pipe open.
    const script = '{ "$0" start --run-key k -- "$@" 5>&1 6>&2; } | cat';
    const result = await shell(box, script, { words: gate.command });
    expect(JSON.parse(result.stdout)).toMatchObject({ status: "RUNNING" });
    expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ status: "RUNNING" });
  });

  test("signals that the caller ignores or blocks have their defaults in the command", async () => {
    await using box = new Sandbox();
    const command = "grep -E 'Sig(Blk|Ign)' /proc/self/status";
    await shell(box, `trap '' HUP INT PIPE TERM; "$0" start --run-key k --sync -- ${command}`);
    const { stdout } = await box.run(["logs", "--run-key", "k"]);
    expect(stdout.replace(/\s/g, "")).toBe(`SigBlk:${"0".repeat(16)}SigIgn:${"0".repeat(16)}`);
  });

  test("with umask 000 the state directory and everything in it are still the owner's alone", async () => {
    await using box = new Sandbox();
    await shell(box, 'umask 000; "$0" start --run-key k --sync -- sh -c "touch made; mkdir folder"');
    const modes = await box.execute(["find", box.home, "made", "folder", "-printf", "%y%m\\n"]);
    const unique = new Set(modes.stdout.trim().split("\n"));
    expect([...unique].sort()).toEqual(["d700", "d777", "f600", "f666"]);
    expect(existsSync(join(box.home, "orchesjob.db"))).toBe(true);
  });
});
