/** A caller that waits: its end never touches the job, it wakes when the job ends, and sleeps until then. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { Gate } from "../support/gate.ts";
import { finishedJob, runningJob } from "../support/jobs.ts";
import { cpuSeconds, sleeps } from "../support/processes.ts";
import { BINARY, isAlive, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

describe("a caller that is ended while it waits leaves the job alone", () => {
  test.each(["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGKILL"] as const)("%s", async (signal) => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    // In its own process group, like a terminal's foreground job; the signal goes to the whole group, as Ctrl-C does.
    const caller = box.spawn(["setsid", BINARY, "start", "--run-key", "k", "--sync", "--", ...gate.command]);
    const job = await runningJob(box, "k");
    process.kill(-caller.pid, signal);
    expect(await box.finished(caller)).toMatchObject({ signal, stdout: "" });
    const left = await box.json(["status", "--run-key", "k"]);
    expect(left.status).toBe("RUNNING");
    expect(withoutQuiet(left)).toEqual(withoutQuiet(job));
    expect(isAlive(job.target_pid!)).toBe(true);
    gate.open();
    const ended = await finishedJob(box, "k");
    expect(ended).toMatchObject({ job_id: job.job_id, status: "SUCCEEDED", exit_code: 0, signal: null });
  });
});

test("closing the session of the caller's terminal does not end the job", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await box.json(["start", "--run-key", "k", "--", ...gate.command]);
  const fields = async (pid: number) =>
    (await Bun.file(`/proc/${pid}/stat`).text()).split(") ")[1]!.split(" ");
  for (const pid of [job.worker_pid!, job.target_pid!]) {
    const [, , group, session, terminal] = await fields(pid);
    expect({ pid, group, session, terminal }).toEqual({
      pid,
      group: String(pid),
      session: String(pid),
      terminal: "0",
    });
  }
});

test("the answer comes when the job ends, and waiting costs next to nothing", async () => {
  const delays: number[] = [];
  for (let round = 1; round <= 5; round++) {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const caller = box.spawn([BINARY, "start", "--run-key", "k", "--sync", "--", ...gate.command]);
    await runningJob(box, "k");
    if (round === 1) await expectSleep(caller.pid);
    const opened = performance.now();
    gate.open();
    const { code } = await box.finished(caller);
    delays.push(performance.now() - opened);
    expect(code).toBe(0);
  }
  // About 10 ms on an idle machine. The bound only tells waking from polling every second or so.
  expect(delays.sort((a, b) => a - b)[2]).toBeLessThan(500);
});

/**
 * Over 2.5 s of waiting: less than a fifth of a processor, and fewer sleeps than a poll every few milliseconds makes.
 */
async function expectSleep(pid: number): Promise<void> {
  const before = { cpu: cpuSeconds(pid), sleeps: sleeps(pid) };
  await Bun.sleep(2_500);
  expect(cpuSeconds(pid) - before.cpu).toBeLessThan(0.5);
  expect(sleeps(pid) - before.sleeps).toBeLessThan(50);
}

/** How long a job is quiet changes from one look to the next. */
function withoutQuiet(answer: object): object {
  return { ...answer, quiet_seconds: null };
}
