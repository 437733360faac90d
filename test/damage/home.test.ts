/**
 * A state directory that is unsafe or incomplete: orchesjob refuses it with a clear error and a hint, or makes the
 * missing parts again.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, chownSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expectFailure } from "../support/expect.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { statusOf } from "../support/processes.ts";
import { BINARY, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { snapshot } from "../support/snapshot.ts";

setDefaultTimeout(TIMEOUT_MS);

const COMMANDS = [
  ["status", "--run-key", "k"],
  ["start", "--run-key", "k", "--", "true"],
  ["logs", "--run-key", "k"],
  ["clean", "--before", "2100-01-01"],
];

const OPEN_PLACE =
  /^orchesjob: (\S+\/open), on the path to the state directory \S+, is writable by anyone \(owner \S+, mode 777\), who could put something else there; run: chmod \+t \1, or set ORCHESJOB_HOME/;

/** Every command refuses with exit 4 and the hint; nothing below `place` is made, changed or deleted. */
async function expectRefused(box: Sandbox, place: string, hint: RegExp, home = box.home): Promise<void> {
  const before = snapshot(place);
  for (const command of COMMANDS) {
    const result = await box.run(command, { env: { ORCHESJOB_HOME: home } });
    expect(result).toMatchObject({ code: 4, stdout: "" });
    expect(result.stderr).toMatch(/^orchesjob: [^\n]+\n$/);
    expect(result.stderr).toMatch(hint);
  }
  expect(snapshot(place)).toEqual(before);
}

async function used(): Promise<Sandbox> {
  const box = new Sandbox();
  await box.json(["start", "--run-key", "k", "--sync", "--", "echo", "hello"]);
  await until("the worker ends", () => box.processes().length === 0);
  return box;
}

test("a file where the state directory should be is refused", async () => {
  await using box = new Sandbox();
  writeFileSync(box.home, "somebody's");
  await expectRefused(box, box.directory, /is not a directory; set ORCHESJOB_HOME to another path/);
});

for (const mode of [0o770, 0o707, 0o777, 0o1777]) {
  test(`a state directory that others may write to (mode ${mode.toString(8)}) is refused`, async () => {
    await using box = await used();
    chmodSync(box.home, mode);
    await expectRefused(box, box.home, /is writable by others \(mode \d+\).*; run: chmod 700 /);
  });
}

test("a state directory that others may only read is used", async () => {
  await using box = await used();
  chmodSync(box.home, 0o755);
  expect((await box.json(["start", "--run-key", "k", "--sync", "--", "true"])).attempt_no).toBe(2);
});

test("a symbolic link to a directory that others may write to is refused", async () => {
  await using box = new Sandbox();
  const target = join(box.directory, "open");
  mkdirSync(target);
  chmodSync(target, 0o777);
  symlinkSync(target, box.home);
  await expectRefused(box, target, /is writable by others/);
});

test("a symbolic link to a directory in a place where anyone may replace it is refused", async () => {
  await using box = new Sandbox();
  const place = join(box.directory, "open");
  mkdirSync(join(place, "target"), { recursive: true, mode: 0o700 });
  chmodSync(place, 0o777);
  symlinkSync(join(place, "target"), box.home);
  await expectRefused(box, place, OPEN_PLACE);
});

test("a symbolic link that is in a place where anyone may replace it is refused", async () => {
  await using box = new Sandbox();
  const place = join(box.directory, "open");
  const target = join(box.directory, "target");
  mkdirSync(place);
  mkdirSync(target, { mode: 0o700 });
  symlinkSync(target, join(place, "home"));
  chmodSync(place, 0o777);
  await expectRefused(box, target, OPEN_PLACE, join(place, "home"));
});

test("a symbolic link to a safe directory is used", async () => {
  await using box = new Sandbox();
  const target = join(box.directory, "target");
  mkdirSync(target, { mode: 0o700 });
  symlinkSync(target, box.home);
  expect((await box.json(["start", "--run-key", "k", "--sync", "--", "true"])).status).toBe("SUCCEEDED");
  expect(existsSync(join(target, "orchesjob.db"))).toBe(true);
});

test("a symbolic link to nowhere is refused", async () => {
  await using box = new Sandbox();
  symlinkSync(join(box.directory, "nowhere"), box.home);
  expect((await box.run(["status", "--run-key", "k"])).code).toBe(3);
  const start = await box.run(["start", "--run-key", "k", "--", "true"]);
  expect(start).toMatchObject({ code: 1, stdout: "" });
  expect(start.stderr).toMatch(/^orchesjob: .*is a symbolic link to nothing; .*set ORCHESJOB_HOME[^\n]*\n$/);
});

test("a state directory below a place where anyone may replace it is refused, and none is made there", async () => {
  await using box = new Sandbox();
  const place = join(box.directory, "open");
  mkdirSync(place);
  chmodSync(place, 0o777);
  const home = join(place, "home");
  const refused = await box.run(["start", "--run-key", "k", "--", "true"], { env: { ORCHESJOB_HOME: home } });
  expect(refused).toMatchObject({ code: 4, stdout: "" });
  expect(refused.stderr).toMatch(OPEN_PLACE);
  expect(existsSync(home)).toBe(false);
  chmodSync(place, 0o1777);
  const sticky = await box.json(["start", "--run-key", "k", "--sync", "--", "true"], {
    env: { ORCHESJOB_HOME: home },
  });
  expect(sticky.status).toBe("SUCCEEDED");
});

test("if the directory cannot be made, the error has a hint", async () => {
  await using box = new Sandbox();
  writeFileSync(join(box.directory, "file"), "");
  const home = join(box.directory, "file", "home");
  const refused = await box.run(["start", "--run-key", "k", "--", "true"], { env: { ORCHESJOB_HOME: home } });
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toMatch(/^orchesjob: [^\n]*set ORCHESJOB_HOME[^\n]*\n$/);
});

testWith(["root"], "a directory of another user is refused for root, with the command to use", async () => {
  await using box = await used();
  for (const path of [box.home, ...["orchesjob.db", "logs", "locks"].map((name) => join(box.home, name))])
    chownSync(path, 65534, 65534);
  await expectRefused(
    box,
    box.home,
    /belongs to user \S+, and .* lock \S+ out; run: sudo -u \S+ env ORCHESJOB_HOME=\S+ orchesjob/,
  );
});

testWith(["root"], "a system directory is refused for root too", async () => {
  await using box = new Sandbox();
  const shared = join(box.directory, "shared");
  mkdirSync(shared);
  chmodSync(box.directory, 0o755);
  const words = ["--reuid=65534", "--regid=65534", "--clear-groups", BINARY];
  for (const home of [shared, "/etc"]) {
    const refused = await box.execute(["setpriv", ...words, "start", "--run-key", "k", "--", "true"], {
      cwd: "/",
      env: { ORCHESJOB_HOME: home },
    });
    expectFailure(refused, 4, "belongs to user root");
    expect(refused.stderr).toEndWith("; set ORCHESJOB_HOME to a directory of its own\n");
  }
  const start = ["start", "--run-key", "k", "--", "true"];
  const asRoot = await box.run(start, { env: { ORCHESJOB_HOME: "/etc" } });
  expectFailure(asRoot, 4, "/etc is a directory of the system");
  expect(existsSync("/etc/orchesjob.db")).toBe(false);
});

testWith(["root"], "a directory that may not be entered is reported as such", async () => {
  await using box = await used();
  chmodSync(box.directory, 0o755);
  const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", BINARY];
  for (const command of COMMANDS) {
    const refused = await box.execute([...nobody, ...command], { cwd: "/" });
    expect([1, 4]).toContain(refused.code!);
    expect(refused.stdout).toBe("");
    expect(refused.stderr).toMatch(/^orchesjob: [^\n]*(belongs to user|permission denied)[^\n]*\n$/);
  }
});

test("a missing log folder: old output is reported as gone, and new jobs write again", async () => {
  await using box = await used();
  rmSync(join(box.home, "logs"), { recursive: true });
  const gone = await box.run(["logs", "--run-key", "k"]);
  expect(gone).toMatchObject({ code: 4, stdout: "" });
  expect(gone.stderr).toMatch(/^orchesjob: the stdout of job \S+ is gone: \S+ was deleted\n$/);
  expect((await statusOf(box, "k")).status).toBe("SUCCEEDED");
  await box.json(["start", "--run-key", "k", "--sync", "--", "echo", "again"]);
  expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe("again\n");
});

test("a missing locks folder: running jobs continue, and new ones start", async () => {
  await using box = new Sandbox();
  const gate = new Gate(box);
  const job = await startWaiting(box, "k", gate, "exit 3");
  rmSync(join(box.home, "locks"), { recursive: true });
  expect((await statusOf(box, "k")).status).toBe("RUNNING");
  expect(await box.json(["start", "--run-key", "other", "--sync", "--", "true"])).toMatchObject({
    status: "SUCCEEDED",
  });
  expect(await box.json(["start", "--run-key", "k", "--", "true"])).toMatchObject({
    existing: true,
    job_id: job.job_id,
  });
  gate.open();
  await until("its end", async () => (await statusOf(box, "k")).exit_code === 3);
});

test("a whole state directory that vanishes while a job runs: its worker ends, and does not make it again", async () => {
  await using box = new Sandbox();
  const gate = new Gate(box);
  await startWaiting(box, "k", gate);
  rmSync(box.home, { recursive: true });
  gate.open();
  await until("the worker ends", () => box.processes().length === 0);
  expect(existsSync(box.home)).toBe(false);
  expect((await box.run(["status", "--run-key", "k"])).code).toBe(3);
});

test("a file where the log folder should be fails the launch, and the job says why", async () => {
  await using box = await used();
  rmSync(join(box.home, "logs"), { recursive: true });
  writeFileSync(join(box.home, "logs"), "");
  const answer = await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
  expect(answer).toMatchObject({ status: "FAILED", exit_code: -1 });
  expect(answer.error).toMatch(/logs.*not a directory/);
});

test("a file where the locks folder should be is a clear error", async () => {
  await using box = await used();
  rmSync(join(box.home, "locks"), { recursive: true });
  writeFileSync(join(box.home, "locks"), "");
  const refused = await box.run(["start", "--run-key", "k", "--", "true"]);
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toMatch(/^orchesjob: [^\n]*locks[^\n]*not a directory[^\n]*\n$/);
});
