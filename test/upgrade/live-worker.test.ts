/** A job of a Python worker is not LOST while that worker lives, and its recorded result is the worker's. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { edit } from "../support/database.ts";
import { testWith } from "../support/needs.ts";
import {
  answeredInstant,
  editPython,
  endPythonWorker,
  PYTHON_VERSIONS,
  type PythonHome,
  startPythonWorker,
  unpackPython,
} from "../support/python-home.ts";
import { killAndWait, readProc, statusOf } from "../support/processes.ts";
import { isAlive, ROOT, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const running = (old: PythonHome) => old.jobs.find((job) => job.run_key === "was-running")!.job_id;

/** How each version writes a result, and the microsecond that it means. */
const RESULTS = [
  ["1.0.0", "finished_at = '2026-11-24T14:00:01.987654+09:00'", "2026-11-24T05:00:01.987654Z"],
  ["1.0.0", "finished_at = '2026-11-24T05:00:01+00:00'", "2026-11-24T05:00:01Z"],
  ["1.0.0", "finished_at = '2026-11-23T23:30:01.999999-05:30'", "2026-11-24T05:00:01.999999Z"],
  ["1.1.0", "finished_at = 1795496401, updated_at = 1795496401", "2026-11-24T05:00:01Z"],
] as const;

for (const [version, columns, instant] of RESULTS) {
  test(`${version}: RUNNING while its worker lives, and then the worker's own result: ${columns}`, async () => {
    await using box = new Sandbox();
    const jobId = running(unpackPython(box, version));
    const worker = await startPythonWorker(box, jobId);
    expect((await statusOf(box, "was-running")).status).toBe("RUNNING");
    expect(await box.json(["start", "--run-key", "was-running", "--", "true"])).toMatchObject({
      existing: true,
      job_id: jobId,
    });
    edit(box, `update jobs set status = 'FAILED', exit_code = 9, ${columns} where job_id = '${jobId}'`);
    await endPythonWorker(box, worker);
    const told = await statusOf(box, "was-running");
    expect(told).toMatchObject({ status: "FAILED", exit_code: 9, lost_reason: null });
    expect(answeredInstant(told.finished_at!)).toBe(answeredInstant(instant));
    // It is among the finished ones, in its place.
    const clean = (before: string) =>
      box.json<{ deleted: number }>(["clean", "--before", before, "--dry-run"]);
    const [until, after] = [await clean("2026-11-24T05:00:01Z"), await clean("2026-11-24T05:00:02Z")];
    expect(after.deleted - until.deleted).toBe(1);
  });
}

for (const version of PYTHON_VERSIONS) {
  test(`${version}: a worker that is still starting its command may record it`, async () => {
    await using box = new Sandbox();
    const jobId = running(unpackPython(box, version));
    editPython(box, `update jobs set status = 'STARTING', target_pid = null where job_id = '${jobId}'`);
    const worker = await startPythonWorker(box, jobId);
    expect((await statusOf(box, "was-running")).status).toBe("STARTING");
    edit(box, `update jobs set status = 'RUNNING', target_pid = 4711 where job_id = '${jobId}'`);
    expect(await statusOf(box, "was-running")).toMatchObject({ status: "RUNNING", target_pid: 4711 });
    await endPythonWorker(box, worker);
    expect(await statusOf(box, "was-running")).toMatchObject({ status: "LOST", lost_reason: "unknown" });
  });

  test(`${version}: a worker that dies without recording a result leaves a LOST job, whose command guards the key`, async () => {
    await using box = new Sandbox();
    const jobId = running(unpackPython(box, version));
    // Without its own session, as a Python worker's child may be.
    const command = box.spawn(["sleep", "1000"]);
    const now = Date.now() / 1000;
    const startedAt =
      version === "1.1.0"
        ? Math.floor(now)
        : `'${new Date(now * 1000).toISOString().replace("Z", "000+00:00")}'`;
    editPython(
      box,
      `update jobs set target_pid = ${command.pid}, started_at = ${startedAt} where job_id = '${jobId}'`,
    );
    const worker = await startPythonWorker(box, jobId);
    expect((await statusOf(box, "was-running")).status).toBe("RUNNING");
    await killAndWait(worker.pid);
    await worker.exited;
    expect(await statusOf(box, "was-running")).toMatchObject({ status: "LOST", orphan_pids: [command.pid] });
    const refused = await box.run(["start", "--run-key", "was-running", "--", "true"]);
    expect(refused.code).toBe(4);
    expect(refused.stderr).toContain(String(command.pid));
    expect(isAlive(command.pid)).toBe(true);
    command.kill("SIGKILL");
    await command.exited;
    expect((await box.json(["start", "--run-key", "was-running", "--sync", "--", "true"])).status).toBe(
      "SUCCEEDED",
    );
    for (const pid of box.processes()) process.kill(pid, "SIGKILL");
    await until("all ends", () => box.processes().length === 0);
  });
}

test("a process that got the pid of a Python job's command much later is no orphan", async () => {
  await using box = new Sandbox();
  const jobId = running(unpackPython(box, "1.1.0"));
  const stranger = box.spawn(["sleep", "1000"]);
  editPython(box, `update jobs set target_pid = ${stranger.pid} where job_id = '${jobId}'`);
  expect(await statusOf(box, "was-running")).toMatchObject({ status: "LOST", orphan_pids: [] });
  stranger.kill("SIGKILL");
  await stranger.exited;
});

for (const version of PYTHON_VERSIONS) {
  testWith(
    ["python3"],
    `${version}: a job that a Python worker runs is cancelled, and stays CANCELLED`,
    async () => {
      await using box = new Sandbox();
      const jobId = running(unpackPython(box, version));
      const words = ["/usr/bin/env", "python3", join(ROOT, "test/fixtures/python-worker.py")];
      const database = join(box.home, "orchesjob.db");
      const worker = box.spawn([...words, database, "orchesjob", "_worker", "--job-id", jobId]);
      // While env(1) becomes python3 there is no command line to recognize the worker by.
      await until(
        "python3 runs",
        () => /^python/.test(readProc(worker.pid, "comm")) && readProc(worker.pid, "cmdline") !== "",
      );
      const job = await until("its command runs", async () => {
        const told = await statusOf(box, "was-running");
        return told.target_pid !== null && isAlive(told.target_pid) && told;
      });
      const cancelled = await box.run(["cancel", "--run-key", "was-running"]);
      expect(cancelled).toMatchObject({ code: 0, stderr: "" });
      const end = { status: "CANCELLED", exit_code: -15, signal: "SIGTERM" };
      expect(JSON.parse(cancelled.stdout)).toMatchObject({ ...end, job_id: jobId, survivors: [] });
      expect(isAlive(job.target_pid!)).toBe(false);
      // The worker then records its own end of the job, which has no effect.
      expect((await box.finished(worker)).code).toBe(0);
      expect(await statusOf(box, "was-running")).toMatchObject(end);
    },
  );
}
