/**
 * `cancel` never signals processes outside the job: the caller, its shell and pipeline, and jobs started from within.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { edit } from "../support/database.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { finishedJob, runningJob, startReady } from "../support/jobs.ts";
import { killAndWait, killWorker } from "../support/processes.ts";
import { BINARY, isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { shell } from "../support/shell.ts";

setDefaultTimeout(TIMEOUT_MS);

/** A shell in which somebody has set the job's variable by hand, with a child and a pipeline. */
async function cancelByHand(box: Sandbox, job: JobAnswer): Promise<void> {
  const script = `sleep 0.01 & "$0" cancel --run-key k | { cat; echo pipeline goes on; }; wait $!; echo $?; echo shell goes on`;
  const result = await shell(box, script, { env: { ORCHESJOB_JOB_ID: job.job_id } });
  expect(result).toMatchObject({ code: 0, signal: null, stderr: "" });
  expect(result.stdout).toEndWith("}\npipeline goes on\n0\nshell goes on\n");
}

test("a caller with the job's variable in its environment is spared, with its shell and its pipeline", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await cancelByHand(box, await startWaiting(box, "k", gate));
  expect(await finishedJob(box, "k")).toMatchObject({ status: "CANCELLED" });
});

test("the same caller is spared if it does the dead worker's work", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  await killWorker(job);
  await cancelByHand(box, job);
  expect(isAlive(job.target_pid!)).toBe(false);
});

test("a job that was started from within the job lives on, but a run that only watches it does not", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const inner = `${BINARY} run --run-key inner -- sh -c '${gate.wait}'`;
  await startReady(box, "k", `${inner} & echo ready; wait`);
  const job = await runningJob(box, "inner");
  expect(await box.json(["cancel", "--run-key", "k"])).toMatchObject({ status: "CANCELLED", survivors: [] });
  expect(isAlive(job.target_pid!)).toBe(true);
  gate.open();
  expect(await finishedJob(box, "inner")).toMatchObject({ job_id: job.job_id, status: "SUCCEEDED" });
});

test("a job that cancels itself ends whole", async () => {
  await using box = new Sandbox();
  const trace = join(box.directory, "lived");
  const script = `"$1" cancel --run-key k; touch ${trace}; sleep 600`;
  await box.json(["start", "--run-key", "k", "--", "sh", "-c", script, "sh", BINARY]);
  expect(await finishedJob(box, "k")).toMatchObject({ status: "CANCELLED", signal: "SIGTERM" });
  await until("nothing is left", () => box.processes().length === 0, 5);
  expect(existsSync(trace)).toBe(false);
});

test("a branch of the job in its own session that cancels the job ends as well", async () => {
  await using box = new Sandbox();
  const branch = `(setsid sh -c '"$0" cancel --run-key k; sleep 600' "$1" &); sleep 600`;
  await box.json(["start", "--run-key", "k", "--", "sh", "-c", branch, "sh", BINARY]);
  expect(await finishedJob(box, "k")).toMatchObject({ status: "CANCELLED" });
  await until("nothing is left", () => box.processes().length === 0, 5);
});

test("a process that reads the job's output is spared", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  const reader = box.spawn(["tail", "-f", job.stdout_file]);
  expect(await box.json(["cancel", "--run-key", "k"])).toMatchObject({ status: "CANCELLED", survivors: [] });
  expect(isAlive(reader.pid)).toBe(true);
  reader.kill("SIGKILL");
  await reader.exited;
});

test("a daemon that only has the dead target's session number is reported as an orphan, and not killed", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  await killWorker(job);
  await killAndWait(job.target_pid!);
  // Makes a daemon in its own session whose leader has ended, and puts the session's number into the row.
  const note = join(box.directory, "daemon");
  await box.execute([
    "setsid",
    "sh",
    "-c",
    `sh -c 'echo $$ > ${note}.part && mv ${note}.part ${note}; exec sleep 600' > /dev/null 2>&1 & exit`,
  ]);
  const daemon = Number(await until("the daemon runs", () => existsSync(note) && readFileSync(note, "utf8")));
  const session = Number(readFileSync(`/proc/${daemon}/stat`, "utf8").split(" ")[5]);
  edit(box, `update job_records set target_pid = ${session}`);
  expect(await box.json(["status", "--run-key", "k"])).toMatchObject({
    status: "LOST",
    orphan_pids: [daemon],
  });
  const result = await box.run(["cancel", "--run-key", "k", "--grace-seconds", "0"]);
  expect(result.code).toBe(4);
  expect(JSON.parse(result.stdout)).toMatchObject({ survivors: [daemon] });
  expect(isAlive(daemon)).toBe(true);
  await killAndWait(daemon);
});
