/** A result is never lost while the worker lives: it may be recorded late, but it is true and has the true time. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "bun";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { openDatabase } from "../support/database.ts";
import { injectFaults } from "../support/faults.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { startBeforeRun } from "../support/hand-over.ts";
import { testWith } from "../support/needs.ts";
import { stateOf, statusOf } from "../support/processes.ts";
import { isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/** The rest of a command's script: writes the time to a file, and exits 7. */
const NOTE_END = "date +%s%N > ended; exit 7";

/** Expects the true result, with the time when the command ended, not when the trouble was over (`healed`). */
async function expectTrueResult(box: Sandbox, healed: number): Promise<void> {
  const done: JobAnswer = await until("the result", async () => {
    const answer = await statusOf(box, "k");
    return answer.finished_at !== null && answer;
  });
  expect(done).toMatchObject({ status: "FAILED", exit_code: 7, lost_reason: null });
  const ended = Number(readFileSync(join(box.directory, "ended"), "utf8")) / 1e6;
  expect(Date.parse(done.finished_at!)).toBeGreaterThanOrEqual(Math.floor(ended));
  expect(Date.parse(done.finished_at!)).toBeLessThan(healed);
}

async function expectStillRunning(box: Sandbox): Promise<void> {
  expect((await statusOf(box, "k")).status).toBe("RUNNING");
  expect(await box.json(["start", "--run-key", "k", "--start-timeout", "0", "--", "true"])).toMatchObject({
    existing: true,
  });
}

/** What fails in the worker while the command ends. */
const FAULTS = [
  ["the disk is full", "pwrite64,fsync,fdatasync,ftruncate:error=ENOSPC"],
  ["the file system is read-only", "pwrite64,fsync,fdatasync,ftruncate:error=EROFS"],
  ["the disk is broken for writing", "pwrite64,fsync,fdatasync,ftruncate:error=EIO"],
  ["the disk is broken for reading and writing", "pread64,pwrite64,read,write,fsync,fdatasync:error=EIO"],
  ["nothing can be opened", "pwrite64,openat,open:error=EMFILE"],
  ["nothing can be locked", "fcntl,pwrite64:error=ENOLCK"],
] as const;

for (const [trouble, inject] of FAULTS) {
  testWith(["strace"], `a worker keeps trying while ${trouble}, and records the true result`, async () => {
    await using box = new Sandbox();
    const gate = new Gate(box);
    const job = await startWaiting(box, "k", gate, NOTE_END);
    const faults = await injectFaults(box, job.worker_pid!, inject);
    gate.open();
    // More than one attempt has failed: it did not give up after the first.
    await until("it has failed again and again", () => faults.count() >= 4);
    await expectStillRunning(box);
    const healed = Date.now();
    await faults.heal();
    await expectTrueResult(box, healed);
  });
}

testWith(["root"], "a full disk delays the result, and does not lose it", async () => {
  await using box = new Sandbox();
  mkdirSync(box.home, { mode: 0o700 });
  spawnSync(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", box.home]);
  try {
    const gate = new Gate(box);
    const job = await startWaiting(box, "k", gate, NOTE_END);
    const ballast = join(box.home, "ballast");
    await box.execute(["dd", "if=/dev/zero", `of=${ballast}`, "bs=4k"]);
    gate.open();
    await until("the command has ended", () => !isAlive(job.target_pid!));
    for (let round = 0; round < 10; round++) expect((await statusOf(box, "k")).status).toBe("RUNNING");
    const refused = await box.run(["start", "--run-key", "other", "--", "true"]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/^orchesjob: .*(full|no space left)[^\n]*\n$/);
    const healed = Date.now();
    rmSync(ballast);
    await expectTrueResult(box, healed);
    expect(await box.json(["start", "--run-key", "other", "--sync", "--", "true"])).toMatchObject({
      attempt_no: 1,
    });
    await until("all workers end", () => box.processes().length === 0);
  } finally {
    spawnSync(["umount", "-l", box.home]);
  }
});

testWith(
  ["strace"],
  "a database that is locked while a job ends delays its result, and does not lose it",
  async () => {
    await using box = new Sandbox();
    const gate = new Gate(box);
    const job = await startWaiting(box, "k", gate, NOTE_END);
    const backup = openDatabase(box);
    backup.run("begin exclusive");
    // Nothing fails here; strace only counts how often the worker asks for the lock.
    const requests = await injectFaults(box, job.worker_pid!, "fcntl:delay_enter=1");
    gate.open();
    await until("attempts were given up and made again", () => requests.count() > 40);
    expect(isAlive(job.target_pid!)).toBe(false);
    await expectStillRunning(box);
    await requests.heal();
    const healed = Date.now();
    backup.run("rollback");
    backup.close();
    await expectTrueResult(box, healed);
  },
);

test("a command that ends before it is recorded, while the database is locked, gets its true result", async () => {
  await using box = new Sandbox();
  const { worker } = await startBeforeRun(box, "k", ["sh", "-c", `echo $$ > pid; ${NOTE_END}`]);
  // The claim must succeed and the record of the command must not: the database is locked as soon as the job is
  // RUNNING.
  const database = openDatabase(box);
  process.kill(worker, "SIGCONT");
  await until("the job runs and the database is ours", () => {
    database.run("begin immediate");
    const row = database.query("select status, target_pid from jobs where run_key = 'k'").get();
    if ((row as { status: string }).status !== "STARTING") return true;
    database.run("rollback");
    return false;
  });
  await until("the command has ended", () => existsSync(join(box.directory, "ended")));
  const pid = Number(readFileSync(join(box.directory, "pid"), "utf8"));
  await until("the worker has noticed", () => stateOf(pid) === undefined);
  // FAILED only if the worker's record won the race for the database.
  expect(["RUNNING", "FAILED"]).toContain((await statusOf(box, "k")).status);
  const healed = Date.now() + 1;
  database.run("rollback");
  database.close();
  await expectTrueResult(box, healed);
});
