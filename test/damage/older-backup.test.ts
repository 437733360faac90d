/**
 * An older backup of the database, restored while jobs run: nothing runs twice, no answer is false, no result is
 * lost.
 */
import { Database } from "bun:sqlite";
import { expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { diagnose } from "../support/doctor.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { openFiles, stop } from "../support/processes.ts";
import { BINARY, isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const pathOf = (box: Sandbox) => join(box.home, "orchesjob.db");
const backupOf = (box: Sandbox) => join(box.directory, "backup.db");

/** Makes a backup as people do beside a program that writes. */
function backUp(box: Sandbox): void {
  using database = new Database(pathOf(box));
  rmSync(backupOf(box), { force: true });
  database.query("vacuum into ?").run(backupOf(box));
}

function removeSideFiles(box: Sandbox): void {
  for (const suffix of ["-wal", "-shm"]) rmSync(pathOf(box) + suffix, { force: true });
}

/** How people restore it. */
const WAYS: Readonly<Record<string, (box: Sandbox) => void>> = {
  "moved into its place": (box) => {
    copyFileSync(backupOf(box), `${pathOf(box)}.new`);
    removeSideFiles(box);
    renameSync(`${pathOf(box)}.new`, pathOf(box));
  },
  "removed, and copied again": (box) => {
    removeSideFiles(box);
    rmSync(pathOf(box));
    copyFileSync(backupOf(box), pathOf(box));
  },
  "copied over it": (box) => {
    removeSideFiles(box);
    copyFileSync(backupOf(box), pathOf(box));
  },
  "by SQLite itself": (box) => {
    const done = Bun.spawnSync(["sqlite3", pathOf(box), `.timeout 20000`, `.restore ${backupOf(box)}`]);
    expect(done.stderr.toString()).toBe("");
  },
};

/** Waits until the worker has closed the database and only waits. */
async function untilResting(job: JobAnswer): Promise<void> {
  await until("the worker rests", () =>
    openFiles(job.worker_pid!).every((path) => !path.includes("orchesjob.db")),
  );
}

/** Starts a job that records each of its runs, and exits 5 when the gate is opened. */
async function startCounted(box: Sandbox, gate: Gate, key = "k"): Promise<JobAnswer> {
  const job = await box.json([
    ...["start", "--run-key", key, "--label", "a=b", "--"],
    ...["sh", "-c", `echo ran >> ${box.directory}/ran; ${gate.wait}; exit 5`],
  ]);
  await until("it runs", () => existsSync(join(box.directory, "ran")));
  return job;
}

const timesRun = (box: Sandbox) =>
  readFileSync(join(box.directory, "ran"), "utf8").trimEnd().split("\n").length;

/** The fields that must be the same before and after. */
const told = ({ job_id, run_key, attempt_no, status, started_at, command, target_pid }: JobAnswer) => ({
  ...{ job_id, run_key, attempt_no, status, started_at, command, target_pid },
});

for (const [way, putBack] of Object.entries(WAYS)) {
  for (const age of ["long", "just"] as const) {
    // SQLite cannot notice a copy into a file that it has open.
    if (age === "just" && way === "copied over it") continue;
    testWith(
      ["sqlite3"],
      `${way}, while a job runs ${age}: start finds it, and its result is kept`,
      async () => {
        await using box = new Sandbox();
        await using gate = new Gate(box);
        await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
        backUp(box);
        const job = await startCounted(box, gate);
        const before = await box.json(["status", "--run-key", "k"]);
        if (age === "long") await untilResting(job);
        putBack(box);
        const again = await box.json([
          ...["start", "--run-key", "k", "--"],
          ...["sh", "-c", `echo ran >> ${box.directory}/ran`],
        ]);
        expect(again).toMatchObject({ existing: true, job_id: job.job_id, attempt_no: 2 });
        expect(told(await box.json(["status", "--job-id", job.job_id]))).toEqual(told(before));
        expect((await box.json(["start", "--run-key", "other", "--sync", "--", "true"])).status).toBe(
          "SUCCEEDED",
        );
        gate.open();
        expect(await box.json(["wait", "--run-key", "k"])).toMatchObject({
          ...{ job_id: job.job_id, status: "FAILED", exit_code: 5 },
        });
        expect(timesRun(box)).toBe(1);
        await until("the workers end", () => box.processes().length === 0);
      },
    );

    testWith(
      ["sqlite3"],
      `${way}, while a job runs ${age}: no command looks, and its result is kept`,
      async () => {
        await using box = new Sandbox();
        await using gate = new Gate(box);
        await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
        backUp(box);
        const job = await startCounted(box, gate);
        if (age === "long") await untilResting(job);
        putBack(box);
        gate.open();
        await until("the worker ends", () => !isAlive(job.worker_pid!));
        expect(await box.json(["status", "--run-key", "k"])).toMatchObject({
          ...{ job_id: job.job_id, status: "FAILED", exit_code: 5, attempt_no: 2, labels: { a: "b" } },
        });
        expect(await box.json<JobAnswer[]>(["status", "--run-key", "k", "--all"])).toHaveLength(2);
      },
    );
  }
}

/** Each look-up as the first one after the backup was restored. */
const LOOKS: Readonly<Record<string, (job: JobAnswer) => readonly string[]>> = {
  "status --run-key": () => ["status", "--run-key", "k"],
  "status --job-id": (job) => ["status", "--job-id", job.job_id],
  "status --all": () => ["status", "--run-key", "k", "--all"],
  "status --running": () => ["status", "--running"],
  list: () => ["list"],
  logs: () => ["logs", "--run-key", "k"],
  metrics: () => ["metrics"],
  cancel: () => ["cancel", "--run-key", "k"],
};

test.each(Object.entries(LOOKS))("%s shows the job, as the first look-up after it", async (_, look) => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await box.json(["start", "--run-key", "old", "--sync", "--", "true"]);
  backUp(box);
  const job = await box.json(["start", "--run-key", "k", "--", "sh", "-c", `echo said; ${gate.wait}`]);
  await untilResting(job);
  WAYS["moved into its place"]!(box);
  const answer = await box.run(look(job));
  expect(answer).toMatchObject({ code: 0, stderr: "" });
  const [name] = look(job);
  if (name === "logs") expect(answer.stdout).toBe("said\n");
  else if (name === "metrics") expect(answer.stdout).toMatch(/^orchesjob_jobs\{.*status="RUNNING".*\} 1$/m);
  else expect(answer.stdout).toContain(job.job_id);
  if (name !== "cancel") expect((await box.json(["status", "--run-key", "k"])).status).toBe("RUNNING");
});

test("a command that waits for the job meanwhile reports its end", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await box.json(["start", "--run-key", "old", "--sync", "--", "true"]);
  backUp(box);
  const job = await startCounted(box, gate);
  const waiting = [
    ["wait", "--run-key", "k", "--exit-status"],
    ["run", "--run-key", "k", "--", ...job.command],
    ["start", "--run-key", "k", "--sync", "--exit-status", "--", ...job.command],
    ["logs", "--run-key", "k", "--follow"],
  ].map((words) => box.spawn([BINARY, ...words]));
  await untilResting(job);
  for (const { pid } of waiting)
    await until("the waiting command rests as well", () => {
      const open = openFiles(pid);
      return (
        open.some((path) => path.endsWith(job.job_id)) && open.every((path) => !path.includes("orchesjob.db"))
      );
    });
  WAYS["moved into its place"]!(box);
  gate.open();
  const codes = await Promise.all(waiting.map(async (child) => (await box.finished(child)).code));
  expect(codes).toEqual([5, 5, 5, 0]);
  expect(timesRun(box)).toBe(1);
});

test("while a job's worker is stopped, nothing starts and every look-up says why; when the worker continues, it records the job again", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await box.json(["start", "--run-key", "old", "--sync", "--", "true"]);
  backUp(box);
  const job = await startCounted(box, gate);
  await untilResting(job);
  await stop(job.worker_pid!);
  WAYS["moved into its place"]!(box);
  const message = `does not know jobs that still run, so it is older than the database that accepted them: ${job.job_id} (run key "k", worker ${job.worker_pid}, command "sh -c `;
  for (const words of [
    ["start", "--run-key", "k", "--", "touch", `${box.directory}/ran2`],
    ["run", "--run-key", "other", "--", "touch", `${box.directory}/ran2`],
    ["status", "--run-key", "k"],
    ["list"],
  ]) {
    const refused = await box.run(words);
    expect([words, refused]).toMatchObject([words, { code: words[0] === "run" ? 125 : 4, stdout: "" }]);
    expect(refused.stderr).toContain(message);
    expect(refused.stderr).toContain(`kill -CONT ${job.worker_pid}`);
  }
  expect(existsSync(`${box.directory}/ran2`)).toBe(false);
  const found = (await diagnose(box)).of("workers");
  expect(found).toMatchObject({ status: "problem" });
  expect(found.message).toContain(message);
  // clean deletes nothing of it.
  await box.json(["clean", "--before", "2100-01-01"]);
  expect(existsSync(job.stdout_file)).toBe(true);
  expect(existsSync(join(box.home, "locks", job.job_id))).toBe(true);

  process.kill(job.worker_pid!, "SIGCONT");
  const repaired = (await diagnose(box, ["--fix"])).of("workers");
  expect(repaired).toMatchObject({ status: "ok", message: "1 active, each with its worker" });
  expect(await box.json(["start", "--run-key", "k", "--", "true"])).toMatchObject({ existing: true });
  gate.open();
  expect(await box.json(["wait", "--run-key", "k"])).toMatchObject({ status: "FAILED", exit_code: 5 });
});

test("a worker of an older version, which records nothing again, keeps everything from starting until its end", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await box.json(["start", "--run-key", "old", "--sync", "--", "true"]);
  const jobId = "019f0000-0000-7000-8000-000000000001";
  const lock = join(box.home, "locks", jobId);
  const worker = box.spawn([
    "sh",
    "-c",
    `mkfifo ${lock}; exec 3<>${lock}; printf x >&3; flock -x 3; echo held; ${gate.wait}`,
  ]);
  const reader = worker.stdout.getReader();
  await reader.read();
  reader.releaseLock();
  const refused = await box.run(["start", "--run-key", "k", "--", "true"]);
  expect(refused).toMatchObject({ code: 4, stdout: "" });
  expect(refused.stderr).toContain(`${jobId}; put that database back, or wait for them to end`);
  gate.open();
  await worker.exited;
  expect((await box.json(["start", "--run-key", "k", "--sync", "--", "true"])).status).toBe("SUCCEEDED");
});

test("a start that is being accepted blocks no other command", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await box.json(["start", "--run-key", "old", "--sync", "--", "true"]);
  // A lock as the launcher makes it before its job is accepted.
  const lock = join(box.home, "locks", "019f0000-0000-7000-8000-000000000001");
  const launcher = box.spawn([
    "sh",
    "-c",
    `mkfifo -m 600 ${lock}; exec 3<>${lock}; flock -x 3; echo held; ${gate.wait}`,
  ]);
  const reader = launcher.stdout.getReader();
  await reader.read();
  reader.releaseLock();
  expect((await box.json(["start", "--run-key", "k", "--sync", "--", "true"])).status).toBe("SUCCEEDED");
  gate.open();
  await launcher.exited;
});

test("if the backup has another job of the key as running that has ended since, that job is LOST, and ours is the active one", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await using first = new Gate(box, "first");
  const ended = await startWaiting(box, "k", first);
  backUp(box);
  first.open();
  await box.json(["wait", "--run-key", "k"]);
  const job = await startCounted(box, gate);
  await untilResting(job);
  WAYS["moved into its place"]!(box);
  expect(await box.json(["start", "--run-key", "k", "--", "true"])).toMatchObject({
    ...{ existing: true, job_id: job.job_id, attempt_no: 2 },
  });
  expect(await box.json(["status", "--job-id", ended.job_id])).toMatchObject({ status: "LOST" });
  gate.open();
  expect(await box.json(["wait", "--run-key", "k"])).toMatchObject({ status: "FAILED", exit_code: 5 });
});

test("if the backup was made before the worker's claim, the result is kept", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startCounted(box, gate);
  await untilResting(job);
  backUp(box);
  {
    using backup = new Database(backupOf(box));
    backup.run("update job_records set status = 'STARTING', target_pid = null, target_start = null");
  }
  WAYS["moved into its place"]!(box);
  expect(await box.json(["start", "--run-key", "k", "--", "true"])).toMatchObject({
    ...{ existing: true, job_id: job.job_id },
  });
  gate.open();
  expect(await box.json(["wait", "--run-key", "k"])).toMatchObject({
    ...{ status: "FAILED", exit_code: 5, target_pid: job.target_pid },
  });
});

test("a job that ends while there is no database: its result is recorded in the one that is put there", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await box.json(["start", "--run-key", "old", "--sync", "--", "true"]);
  backUp(box);
  const job = await startCounted(box, gate);
  await untilResting(job);
  removeSideFiles(box);
  rmSync(pathOf(box));
  gate.open();
  await until("the command has ended", () => !isAlive(job.target_pid!));
  const refused = await box.run(["start", "--run-key", "k", "--", "true"]);
  expect(refused).toMatchObject({ code: 4 });
  expect(refused.stderr).toContain("orchesjob.db is gone");
  copyFileSync(backupOf(box), pathOf(box));
  await until("the worker ends", () => !isAlive(job.worker_pid!));
  expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ status: "FAILED", exit_code: 5 });
});

test("if the directory is moved while a job runs, its result is recorded there", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startCounted(box, gate);
  await untilResting(job);
  const moved = join(box.directory, "moved");
  renameSync(box.home, moved);
  gate.open();
  await until("the worker ends", () => !isAlive(job.worker_pid!));
  expect(await box.json(["status", "--run-key", "k"], { env: { ORCHESJOB_HOME: moved } })).toMatchObject({
    status: "FAILED",
    exit_code: 5,
  });
});

test("an empty file in place of the database: nothing starts while a job runs", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startCounted(box, gate);
  await untilResting(job);
  renameSync(pathOf(box), backupOf(box));
  await Bun.write(pathOf(box), "");
  for (const words of [["start", "--run-key", "k", "--", "true"], ["status", "--run-key", "k"], ["list"]])
    expect(await box.run(words)).toMatchObject({ code: 4, stdout: "" });
  renameSync(backupOf(box), pathOf(box));
  gate.open();
  expect(await box.json(["wait", "--run-key", "k"])).toMatchObject({ status: "FAILED", exit_code: 5 });
});

testWith(
  ["root", "unshare"],
  "a database mounted over ours: nothing runs twice, and the mounted one has the result",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await box.json(["start", "--run-key", "old", "--sync", "--", "true"]);
    backUp(box);
    // In its own mount namespace, where the mount ends with the last process.
    const script = `set -e
    job=$('${BINARY}' start --run-key k -- sh -c 'echo ran >> ${box.directory}/ran; ${gate.wait}; exit 5')
    while [ -e ${pathOf(box)}-wal ]; do sleep 0.01; done
    mount --bind ${backupOf(box)} ${pathOf(box)}
    '${BINARY}' start --run-key k -- sh -c 'echo ran >> ${box.directory}/ran'
    echo x > ${gate.path}
    '${BINARY}' wait --run-key k >&2`;
    const result = await box.execute(["unshare", "--mount", "sh", "-c", script]);
    expect(result).toMatchObject({ code: 0 });
    expect(JSON.parse(result.stdout)).toMatchObject({ existing: true, run_key: "k" });
    expect(JSON.parse(result.stderr)).toMatchObject({ status: "FAILED", exit_code: 5 });
    expect(timesRun(box)).toBe(1);
  },
);

test("unlock is refused while the key's job is active, even if the database does not know the job", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await box.json(["start", "--run-key", "old", "--sync", "--", "true"]);
  backUp(box);
  const job = await box.json(["start", "--run-key", "k", "--strict", "--", ...gate.command]);
  const refused = await box.run(["unlock", "--run-key", "k"]);
  expect(refused).toMatchObject({ code: 4, stdout: "" });
  expect(refused.stderr).toContain(`cannot unlock "k": job ${job.job_id} is RUNNING`);
  await untilResting(job);
  WAYS["moved into its place"]!(box);
  expect(await box.run(["unlock", "--run-key", "k"])).toMatchObject({ code: 4, stderr: refused.stderr });
  gate.open();
  await box.json(["wait", "--run-key", "k"]);
  await box.json(["unlock", "--run-key", "k"]);
  const once = ["start", "--run-key", "k", "--strict", "--sync", "--", "true"];
  expect(await box.json(once)).toMatchObject({ existing: false });
  expect(await box.json(once)).toMatchObject({ existing: true });
});

test("if the worker is killed after the backup was restored, nothing starts while its command lives, and after that everything does", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await box.json(["start", "--run-key", "first", "--sync", "--", "true"]);
  backUp(box);
  const job = await startWaiting(box, "k", gate);
  await untilResting(job);
  WAYS["moved into its place"]!(box);
  process.kill(job.worker_pid!, "SIGKILL");
  await until("the worker is gone", () => !isAlive(job.worker_pid!));
  for (const words of [
    ["start", "--run-key", "k", "--", "true"],
    ["start", "--run-key", "other", "--", "true"],
    ["status", "--run-key", "k"],
    ["list"],
  ]) {
    const refused = await box.run(words);
    expect(refused).toMatchObject({ code: 4, stdout: "" });
    expect(refused.stderr).toContain(
      `does not know job ${job.job_id} of run key "k", so it is older than the database that accepted it; the worker of the job is gone, but its command still runs: process ${job.target_pid}`,
    );
  }
  gate.open();
  await until("the command has ended", () => !isAlive(job.target_pid!));
  expect(await box.json(["start", "--run-key", "k", "--sync", "--", "true"])).toMatchObject({
    status: "SUCCEEDED",
    existing: false,
  });
  expect(existsSync(join(box.home, "locks", job.job_id))).toBe(false);
});
