/**
 * No gap in the hand-over: wherever launcher or worker end, there is no job, a running job, or a job that is LOST
 * with start_interrupted.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { edit, openDatabase } from "../support/database.ts";
import { startBeforeClaim, startBeforeRun } from "../support/hand-over.ts";
import { childrenOf, killAndWait, openFiles, statusOf, stop } from "../support/processes.ts";
import { testWith } from "../support/needs.ts";
import { BINARY, isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const marker = (box: Sandbox) => join(box.directory, "ran");
const command = (box: Sandbox) => ["sh", "-c", `echo x >> ${marker(box)}`];
const locks = (box: Sandbox) => readdirSync(join(box.home, "locks"));

async function expectRunsAgain(box: Sandbox, attempt: number): Promise<void> {
  const answer = await box.json(["start", "--run-key", "k", "--sync", "--", ...command(box)]);
  expect(answer).toMatchObject({ existing: false, attempt_no: attempt, status: "SUCCEEDED" });
  expect(readFileSync(marker(box), "utf8")).toBe("x\n");
}

test("a launcher killed before its job is accepted leaves nothing, and its prepared worker ends", async () => {
  await using box = new Sandbox();
  const { launcher, worker, release } = await startBeforeClaim(box, "k", command(box));
  launcher.kill("SIGKILL");
  await box.finished(launcher);
  release();
  await until("the worker ends", () => !isAlive(worker));
  expect((await box.run(["status", "--run-key", "k"])).code).toBe(3);
  expect(existsSync(marker(box))).toBe(false);
  expect(locks(box)).toEqual([]);
  await expectRunsAgain(box, 1);
});

test("a prepared worker waits until its job is accepted, however long that takes", async () => {
  await using box = new Sandbox();
  const { launcher, worker, release } = await startBeforeClaim(box, "k", command(box));
  for (let round = 0; round < 20; round++) {
    expect((await box.run(["status", "--run-key", "k"])).code).toBe(3);
    expect(openFiles(worker).filter((path) => path.includes("orchesjob.db"))).toEqual([]);
  }
  release();
  expect((await box.finished(launcher)).code).toBe(0);
  await until("its end", async () => (await statusOf(box, "k")).status === "SUCCEEDED");
  expect(readFileSync(marker(box), "utf8")).toBe("x\n");
});

test("a job whose launcher is gone right after it was accepted is not LOST, and runs", async () => {
  await using box = new Sandbox();
  const { worker } = await startBeforeRun(box, "k", command(box));
  // The launcher is gone; the job has only the stopped worker, and is not LOST.
  expect(await statusOf(box, "k")).toMatchObject({ status: "STARTING", pid: worker, target_pid: null });
  expect(await box.json(["start", "--run-key", "k", "--start-timeout", "0", "--", "true"])).toMatchObject({
    existing: true,
  });
  process.kill(worker, "SIGCONT");
  await until("its end", async () => (await statusOf(box, "k")).status === "SUCCEEDED");
  expect(readFileSync(marker(box), "utf8")).toBe("x\n");
});

test("when launcher and worker are gone before the command ran, the job is LOST start_interrupted and its key runs again", async () => {
  await using box = new Sandbox();
  const { worker } = await startBeforeRun(box, "k", command(box));
  await killAndWait(worker);
  expect(await statusOf(box, "k")).toMatchObject({
    status: "LOST",
    lost_reason: "start_interrupted",
    worker_pid: worker,
    finished_at_detected: true,
  });
  await expectRunsAgain(box, 2);
  await until("no lock file is left", () => locks(box).length === 0);
});

testWith(
  ["strace"],
  "a job that starts running between a look-up's two checks and then loses its worker is not reported as interrupted",
  async () => {
    await using box = new Sandbox();
    const { job, worker } = await startBeforeRun(box, "k", [
      "sh",
      "-c",
      `echo x >> ${marker(box)}; sleep 1000`,
    ]);
    // Stops status between reading the row, which is STARTING, and testing the lock.
    const lock = join(box.home, "locks", job.job_id);
    const trace = join(box.directory, "trace");
    const stopping = ["-P", lock, "-e", "trace=openat", "-e", "inject=openat:signal=SIGSTOP:when=1"];
    const looking = box.spawn([
      ...["strace", "-o", trace, ...stopping],
      ...[BINARY, "status", "--run-key", "k"],
    ]);
    await until(
      "it has read the row",
      () => existsSync(trace) && readFileSync(trace, "utf8").includes("--- stopped by SIGSTOP ---"),
    );
    process.kill(worker, "SIGCONT");
    await until("the command runs", () => existsSync(marker(box)));
    await killAndWait(worker);
    for (const pid of childrenOf(looking.pid)) process.kill(pid, "SIGCONT");
    const told = JSON.parse((await box.finished(looking)).stdout) as JobAnswer;
    expect(told).toMatchObject({ status: "LOST", lost_reason: "worker_killed" });
    expect((await statusOf(box, "k")).lost_reason).toBe("worker_killed");
    await box.json(["cancel", "--run-key", "k", "--grace-seconds", "0"]);
  },
);

test("a start finds an interrupted one by itself", async () => {
  await using box = new Sandbox();
  const { worker } = await startBeforeRun(box, "k", command(box));
  await killAndWait(worker);
  await expectRunsAgain(box, 2);
  const all = await box.json<{ status: string }[]>(["status", "--run-key", "k", "--all"]);
  expect(all.map((job) => job.status)).toEqual(["SUCCEEDED", "LOST"]);
});

test("a worker that wakes late and finds its job lost runs nothing", async () => {
  await using box = new Sandbox();
  const { job, worker } = await startBeforeRun(box, "k", command(box));
  edit(
    box,
    `update job_records set status = 'LOST', finished_at = 1, lost_reason = 'unknown' where job_id = '${job.job_id}'`,
  );
  // The sleeping worker keeps no other job from running.
  await expectRunsAgain(box, 2);
  process.kill(worker, "SIGCONT");
  await until("the worker ends", () => !isAlive(worker));
  expect(readFileSync(marker(box), "utf8")).toBe("x\n");
  expect((await box.json(["status", "--job-id", job.job_id])).status).toBe("LOST");
  expect(locks(box)).toEqual([]);
});

test("a launch that cannot be recorded does not launch", async () => {
  await using box = new Sandbox();
  const { worker } = await startBeforeRun(box, "k", command(box));
  const database = openDatabase(box);
  database.run("begin immediate");
  process.kill(worker, "SIGCONT");
  // It has the database open, so it is at its claim, and stays there.
  await until("the worker tries", () => openFiles(worker).some((path) => path.endsWith("orchesjob.db-wal")));
  for (let round = 0; round < 10; round++) expect((await statusOf(box, "k")).status).toBe("STARTING");
  expect(existsSync(marker(box))).toBe(false);
  await killAndWait(worker);
  database.run("rollback");
  database.close();
  expect(await statusOf(box, "k")).toMatchObject({ status: "LOST", lost_reason: "start_interrupted" });
  expect(existsSync(marker(box))).toBe(false);
  await expectRunsAgain(box, 2);
});

test("a start that is overtaken by a whole other job runs once, in its caller's directory", async () => {
  await using box = new Sandbox();
  const { launcher, worker, release } = await startBeforeClaim(box, "k", ["sh", "-c", "pwd; echo x >> ran"]);
  await stop(launcher.pid);
  release();
  expect(await box.json(["start", "--run-key", "k", "--sync", "--", "true"])).toMatchObject({
    attempt_no: 1,
  });
  process.kill(launcher.pid, "SIGCONT");
  const { stdout } = await box.finished(launcher);
  expect(JSON.parse(stdout)).toMatchObject({ existing: false, attempt_no: 2, cwd: box.directory });
  await until("its end", async () => (await statusOf(box, "k")).status === "SUCCEEDED");
  expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe(`${box.directory}\n`);
  expect(readFileSync(marker(box), "utf8")).toBe("x\n");
  await until("the first worker ends", () => !isAlive(worker));
  expect(locks(box)).toEqual([]);
});
