/**
 * An existing client: an orchestrator's operator starts jobs over SSH and requires exit 0, `job_id`, `status` and
 * `accepted`; its sensor polls every few seconds and knows exactly four final states. The connection may break at any
 * moment.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Gate } from "../support/gate.ts";
import { finishedJob, runningJob } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { Reading } from "../support/reading.ts";
import { isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { Ssh } from "../support/sshd.ts";

setDefaultTimeout(TIMEOUT_MS);

const ENDS = ["SUCCEEDED", "FAILED", "LOST", "CANCELLED"];
const STATUSES = ["STARTING", "RUNNING", ...ENDS];

interface Accepted {
  readonly job_id: string;
  readonly status: string;
  readonly accepted: boolean;
}

/** The operator: throws if the answer is not one that 1.0.0 could have given. */
async function operate(ssh: Ssh, words: readonly string[]): Promise<Accepted> {
  const { code, stdout, stderr } = await ssh.run(["start", ...words]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const answer = JSON.parse(stdout) as Accepted;
  expect(answer.job_id).toBeString();
  expect(answer.accepted).toBeBoolean();
  expect(STATUSES).toContain(answer.status);
  return answer;
}

/** The sensor: polls until the job is in one of the final states that it knows. */
function sense(ssh: Ssh, selector: readonly string[]): Promise<JobAnswer> {
  return until("the sensor sees the end", async () => {
    const { code, stdout, stderr } = await ssh.run(["status", ...selector]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const job = JSON.parse(stdout) as JobAnswer;
    expect(STATUSES).toContain(job.status);
    return ENDS.includes(job.status) && job;
  });
}

function runs(box: Sandbox): number {
  const path = join(box.directory, "runs");
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").length - 1 : 0;
}

testWith(
  ["sshd"],
  "operator and sensor see a job through; starting it again returns the same job",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await using ssh = await Ssh.start(box);
    const words = ["--run-key", "nightly 'é", "--", "sh", "-c", `${gate.wait}; echo "it's" done; exit 3`];
    // The answer comes although the job continues: nothing of the job holds the connection open.
    const started = await operate(ssh, words);
    expect(started).toMatchObject({ accepted: true, status: "RUNNING" });
    expect(await operate(ssh, words)).toMatchObject({ accepted: false, job_id: started.job_id });
    const sensing = sense(ssh, ["--run-key", "nightly 'é"]);
    gate.open();
    expect(await sensing).toMatchObject({ job_id: started.job_id, status: "FAILED", exit_code: 3 });
    expect(await sense(ssh, ["--job-id", started.job_id])).toMatchObject({ status: "FAILED" });
    expect((await ssh.run(["logs", "--job-id", started.job_id])).stdout).toBe("it's done\n");
  },
);

testWith(["sshd"], "the sensor sees jobs that ended as CANCELLED and LOST", async () => {
  await using box = new Sandbox();
  await using ssh = await Ssh.start(box);
  const start = ["--run-key", "k", "--", "sleep", "600"];
  const cancelled = await operate(ssh, start);
  expect((await ssh.run(["cancel", "--job-id", cancelled.job_id])).code).toBe(0);
  expect(await sense(ssh, ["--run-key", "k"])).toMatchObject({ status: "CANCELLED" });
  await operate(ssh, start);
  const job = await runningJob(box, "k");
  for (const pid of [job.worker_pid!, job.target_pid!]) process.kill(pid, "SIGKILL");
  expect(await sense(ssh, ["--job-id", job.job_id])).toMatchObject({ status: "LOST" });
  expect((await ssh.run(["status", "--run-key", "other"])).code).toBe(3);
});

testWith(["sshd"], "an argument of 100 kB: the answer is small, the command whole", async () => {
  await using box = new Sandbox();
  await using ssh = await Ssh.start(box);
  const long = "a b$c".repeat(20_000);
  const { stdout } = await ssh.run(["start", "--run-key", "k", "--", "printf", "%s", long]);
  expect(stdout.length).toBeLessThan(16_000);
  expect((JSON.parse(stdout) as Accepted).accepted).toBe(true);
  expect((await sense(ssh, ["--run-key", "k"])).command).toEqual(["printf", "%s", long]);
  expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe(long);
});

testWith(
  ["sshd"],
  "if the connection breaks at any moment of a start, the retry gets one job, which ran once",
  async () => {
    await using box = new Sandbox();
    await using ssh = await Ssh.start(box);
    const begun = performance.now();
    await ssh.run(["status", "--run-key", "none"]);
    const whole = performance.now() - begun;
    const steps = 5;
    for (let step = 0; step < steps; step++) {
      const words = ["--run-key", `k${step}`, "--strict", "--", "sh", "-c", `echo ${step} >> runs`];
      const lost = ssh.spawn(["start", ...words]);
      // From before the command exists until about when it has answered.
      await Bun.sleep(whole * (0.3 + step / steps));
      lost.kill("SIGKILL");
      await box.finished(lost);
      const retried = await operate(ssh, words);
      expect(await sense(ssh, ["--run-key", `k${step}`])).toMatchObject({
        ...{ job_id: retried.job_id, status: "SUCCEEDED", attempt_no: 1 },
      });
      await until("it ran", () => runs(box) > step);
      expect(runs(box)).toBe(step + 1);
    }
  },
);

testWith(["sshd"], "a start --sync that loses its connection leaves the job alone", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await using ssh = await Ssh.start(box);
  const words = [
    "--run-key",
    "k",
    "--request-id",
    "today",
    "--sync",
    "--",
    "sh",
    "-c",
    `${gate.wait}; exit 4`,
  ];
  const lost = ssh.spawn(["start", ...words]);
  const job = await runningJob(box, "k");
  lost.kill("SIGKILL");
  await box.finished(lost);
  gate.open();
  await finishedJob(box, "k");
  expect(await operate(ssh, words)).toMatchObject({ job_id: job.job_id, accepted: false, status: "FAILED" });
});

for (const terminal of [false, true]) {
  const name = `a run whose connection is lost ${terminal ? "with its terminal " : ""}is attached to again, and shows all of it`;
  testWith(["sshd"], name, async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await using ssh = await Ssh.start(box);
    const words = ["run", "--run-key", "k", "--", "sh", "-c", `echo begun; ${gate.wait}; echo end; exit 7`];
    const lost = ssh.spawn(words, { terminal });
    await new Reading(lost.stdout).until("begun");
    const job = await runningJob(box, "k");
    lost.kill("SIGKILL");
    await lost.exited;
    const again = ssh.spawn(words);
    const shown = new Reading(again.stdout);
    await shown.until("begun");
    expect(isAlive(job.target_pid!)).toBe(true);
    gate.open();
    expect(await shown.all()).toBe("begun\nend\n");
    expect(await again.exited).toBe(7);
    expect(await finishedJob(box, "k")).toMatchObject({ job_id: job.job_id, attempt_no: 1 });
  });
}
