/** A state directory that cannot be written: each reason is named, with a way out, and a full disk can be read. */
import { expect, setDefaultTimeout } from "bun:test";
import { chmodSync, chownSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { attemptsOf, failing } from "../support/attempts.ts";
import { openDatabase } from "../support/database.ts";
import { judge } from "../support/doctor.ts";
import { expectFailure } from "../support/expect.ts";
import { finishedJob, jobThat } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { killWorker } from "../support/processes.ts";
import { BINARY, isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS);

const READING = [
  ["status", "--run-key", "old"],
  ["result", "--run-key", "old"],
  ["wait", "--run-key", "old"],
  ["logs", "--run-key", "old"],
  ["list", "--run-key-prefix", "old"],
];

/** Mounts a file system for the state directory, and removes it afterwards. */
function mount(box: Sandbox, options: string): AsyncDisposable {
  mkdirSync(box.home, { mode: 0o700 });
  Bun.spawnSync(["mount", "-t", "tmpfs", "-o", `mode=700,${options}`, "tmpfs", box.home]);
  return {
    async [Symbol.asyncDispose]() {
      await until("all workers end", () => box.processes().length === 0);
      Bun.spawnSync(["umount", "-l", box.home]);
    },
  };
}

/** Waits until nobody has the database open: then its side files are gone. */
async function untilClosed(box: Sandbox): Promise<void> {
  await until("nobody has the database open", () => {
    const database = openDatabase(box);
    database.run("pragma wal_checkpoint");
    database.close();
    return !existsSync(join(box.home, "orchesjob.db-shm"));
  });
}

/** Writes until there is no room; returns the file. */
async function fill(box: Sandbox): Promise<string> {
  const ballast = join(box.home, "ballast");
  await box.execute(["dd", "if=/dev/zero", `of=${ballast}`, "bs=4k"]);
  return ballast;
}

testWith(
  ["root"],
  "a full disk: what reads still answers, what writes says so, and the attempt that waits is not lost",
  async () => {
    await using box = new Sandbox();
    await using _ = mount(box, "size=3m");
    await box.json(["start", "--run-key", "old", "--sync", "--", "echo", "hello"]);
    await box.json(["start", ...failing()]);
    const waiting = await jobThat(box, "k", "waits for its second attempt", (job) => job.attempt_no === 2);
    await untilClosed(box);
    const ballast = await fill(box);
    for (const words of READING) {
      const { code, stdout, stderr } = await box.run(words);
      expect([words[0], code, stderr]).toEqual([words[0], 0, ""]);
      expect(stdout).toMatch(/SUCCEEDED|^hello\n$/);
    }
    expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ status: "STARTING" });
    for (const words of [
      ["start", "--run-key", "new", "--", "true"],
      ["cancel", "--run-key", "k"],
    ]) {
      const refused = await box.run(words);
      expectFailure(refused, 1, /orchesjob\.db: the disk is full; free some space and try again/);
    }
    const found = judge(await box.execute([BINARY, "doctor"]));
    expect(found.of("database")).toMatchObject({ status: "ok" });
    expect(found.of("free_space")).toMatchObject({ status: "problem" });
    // A signal to the worker: it must record an end, and does as soon as there is room.
    process.kill(waiting.worker_pid!, "SIGTERM");
    expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ status: "STARTING" });
    rmSync(ballast);
    expect(await finishedJob(box, "k")).toMatchObject({ status: "FAILED", failure: "not_launched" });
    expect(await box.json(["start", "--run-key", "new", "--sync", "--", "true"])).toMatchObject({
      status: "SUCCEEDED",
    });
  },
);

testWith(["root"], "a cancel on a full disk ends the run, though nobody can record that", async () => {
  await using box = new Sandbox();
  await using _ = mount(box, "size=3m");
  const command = witness(`trap 'exit 7' TERM; sleep 600 & wait`);
  const words = ["--run-key", "k", "--retries", "3", "--retry-delay", "0", "--", ...command];
  const job = await box.json(["start", ...words]);
  await untilClosed(box);
  const ballast = await fill(box);
  const refused = await box.run(["cancel", "--run-key", "k"]);
  expectFailure(refused, 1, /the disk is full; .*; its processes were ended .*; no other attempt follows/);
  rmSync(ballast);
  await until("the worker has ended", () => !isAlive(job.worker_pid!));
  const [first, ...later] = await attemptsOf(box);
  expect(first).toMatchObject({ status: "FAILED", exit_code: 7 });
  // If the worker heard it while it recorded the failure, the next attempt is there, but was not launched.
  for (const attempt of later) expect(attempt).toMatchObject({ status: "FAILED", failure: "not_launched" });
  expect(readExecutions(box, "k").started).toHaveLength(1);
  expect(await box.json(["start", "--run-key", "k", "--sync", "--", "true"])).toMatchObject({
    status: "SUCCEEDED",
  });
});

testWith(
  ["root"],
  "a loss that a full disk keeps from being recorded is no running job for wait and cancel",
  async () => {
    await using box = new Sandbox();
    await using _ = mount(box, "size=3m");
    const keys = ["a", "b"];
    const jobs = await Promise.all(
      keys.map((key) => box.json<JobAnswer>(["start", "--run-key", key, "--", "sleep", "600"])),
    );
    await untilClosed(box);
    const ballast = await fill(box);
    for (const job of jobs) await killWorker(job);
    const waited = await box.run(["wait", "a", "--orphans", "--timeout", "1"]);
    expectFailure({ ...waited, stdout: "" }, 1, /is lost, but its command still runs/);
    expect(JSON.parse(waited.stdout)).toMatchObject({ status: "LOST" });
    const ended = { status: "LOST", survivors: [] };
    expect(await box.json(["cancel", ...keys])).toMatchObject([ended, ended]);
    expect(await box.json(["wait", "a", "--orphans"])).toMatchObject({ status: "LOST" });
    rmSync(ballast);
  },
);

testWith(["root"], "no free inodes and a read-only file system are named, also by doctor", async () => {
  await using box = new Sandbox();
  await using _ = mount(box, "size=20m,nr_inodes=100");
  await box.json(["start", "--run-key", "old", "--sync", "--", "true"]);
  await untilClosed(box);
  const reasons = async (message: RegExp) => {
    for (const words of [READING[0]!, ["start", "--run-key", "k", "--", "true"]])
      expectFailure(await box.run(words), 1, message);
    const { status, message: said, way_out } = judge(await box.execute([BINARY, "doctor"])).of("database");
    expect(status).toBe("problem");
    expect(`${said}; ${way_out}`).toMatch(message);
  };
  Bun.spawnSync(["mount", "-o", "remount,ro", box.home]);
  await reasons(/orchesjob\.db: its file system is read-only; have it mounted for writing/);
  Bun.spawnSync(["mount", "-o", "remount,rw", box.home]);
  await box.execute(["sh", "-c", `i=0; while : 2>/dev/null >${box.home}/fill$i; do i=$((i+1)); done`]);
  await reasons(/room for another file \(no free inodes\); delete some files there and try again: df -i /);
});

const NOBODY = 65534;
const AS_NOBODY = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];

testWith(["root", "strace"], "what may not be written is named, with its owner and mode", async () => {
  await using box = new Sandbox();
  // The directory above is the sandbox's own, and closed.
  chmodSync(box.directory, 0o755);
  mkdirSync(box.home, { mode: 0o700 });
  chownSync(box.home, NOBODY, NOBODY);
  const as = (words: readonly string[], ...around: readonly string[]) =>
    box.execute([...AS_NOBODY, ...around, BINARY, ...words]);
  const start = ["start", "--run-key", "old", "--sync", "--", "true"];
  expect((await as(start)).code).toBe(0);
  await until("all workers end", () => box.processes().length === 0);
  await untilClosed(box);
  const refused = async (hint: string, words = READING[0]!, ...around: readonly string[]) => {
    const result = await as(words, ...around);
    expect([result.code, result.stdout]).toEqual([1, ""]);
    expect(result.stderr).toContain(hint);
  };
  const database = join(box.home, "orchesjob.db");
  const change = async (path: string, mode: number, hint: string, words = READING[0]!) => {
    const before = statSync(path).mode;
    chmodSync(path, mode);
    await refused(hint, words);
    chmodSync(path, before);
  };
  await change(
    box.home,
    0o500,
    `create files in ${box.home} (owner nobody, mode 500); run: chmod 700 ${box.home}`,
  );
  await change(database, 0, `write ${database} (owner nobody, mode 0); run: chmod 600 ${database}`);
  await change(database, 0o400, `(owner nobody, mode 400); run: chmod 600 ${database}`, start);
  await untilClosed(box);
  writeFileSync(`${database}-wal`, "not a log", { mode: 0o600 });
  await refused(`write ${database}-wal (owner root, mode 600); run as root: chown nobody ${database}-wal`);
  rmSync(`${database}-wal`);
  const inject = (error: string) => [
    "strace",
    "-f",
    "-qq",
    "-o/dev/null",
    `-einject=pwrite64:error=${error}`,
  ];
  await refused("your disk quota is used up; delete some of your files", start, ...inject("EDQUOT"));
  await refused("disk I/O error; check the disk (dmesg)", start, ...inject("EIO"));
  expect((await as(start)).code).toBe(0);
});
