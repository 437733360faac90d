/**
 * Jobs with processes of root, which the user's cancel cannot reach: the key does not become free until they are
 * gone.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { testWith } from "../support/needs.ts";
import { killAndWait, killWorker } from "../support/processes.ts";
import { type Finished, isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { Sudoer } from "../support/sudoer.ts";

setDefaultTimeout(TIMEOUT_MS);

const START = ["start", "--run-key", "pay", "--sync", "--", "true"] as const;

/** The refusal must name root's living processes, with the command to end them. */
function expectRefused(refused: Finished, why: RegExp, hint: RegExp): void {
  expect(refused).toMatchObject({ code: 4, stdout: "" });
  expect(refused.stderr).toMatch(why);
  expect(refused.stderr).toMatch(hint);
  expect(refused.stderr).not.toContain("another container");
}

/** The key is refused as long as root pays, and then runs. */
async function expectGuarded(
  user: Sudoer,
  why: RegExp,
  ended: Partial<JobAnswer>,
  hint = /sudo kill \d+/,
): Promise<void> {
  const job = await user.status();
  expect(job).toMatchObject(ended);
  expect(job.orphan_pids).not.toEqual([]);
  expect(job.orphan_pids.filter((pid) => !isAlive(pid))).toEqual([]);
  expectRefused(await user.run(...START), why, hint);
  const kept = await user.run("clean", "--keep", "0");
  expect(JSON.parse(kept.stdout)).toMatchObject({ deleted: 0 });
  expect(kept.stderr).toContain(`job ${job.job_id} is kept: its command still runs`);
  const doctor = await user.run("doctor");
  expect(doctor.stdout).toContain(job.job_id);
  expect(user.paid).not.toContain("end A");
  user.finish();
  await until("it has paid", () => !user.payers().some(isAlive));
  const next = await until("the key is free", async () => {
    const result = await user.run(...START);
    return result.code === 0 && (JSON.parse(result.stdout) as JobAnswer);
  });
  expect(next).toMatchObject({ existing: false, status: "SUCCEEDED", attempt_no: 2 });
  expect(user.paid).toContain("end A\n");
}

const cancel = (user: Sudoer, grace = "0.3") =>
  user.run("cancel", "--run-key", "pay", "--grace-seconds", grace);

const SCRIPTS = [
  ["sudo as the command itself", "exec $SUDO_PAY", -9],
  ["sudo below a shell", "$SUDO_PAY; true", -15],
] as const;

for (const [name, script, exitCode] of SCRIPTS) {
  testWith(["sudo"], `${name}: cancel reports what it could not end, each time`, async () => {
    await using box = new Sandbox();
    await using user = await Sudoer.create(box);
    const job = await user.startPaying(script);
    const cancelled = await cancel(user);
    expect(cancelled.code).toBe(4);
    const answer = JSON.parse(cancelled.stdout) as JobAnswer & { survivors: number[] };
    expect(answer).toMatchObject({ status: "CANCELLED", orphan_pids: answer.survivors });
    expect(answer.survivors).toEqual(expect.arrayContaining(user.payers()));
    expect(user.paid).toContain("A heard TERM\n");
    expect(cancelled.stderr).toContain("user root");
    expect(cancelled.stderr).toMatch(/sudo kill \d+/);
    // It may not signal what is left, and says so at once, without waiting for the grace period.
    expect((await cancel(user, "3600")).code).toBe(4);
    // The worker is still there, as the subreaper of what is left.
    expect(isAlive(job.worker_pid!)).toBe(true);
    await expectGuarded(user, /job \S+ was cancelled, but its command still runs: process/, {
      status: "CANCELLED",
      exit_code: exitCode,
    });
    const [, told] = await user.json<JobAnswer[]>("status", "--run-key", "pay", "--all");
    expect(told).toMatchObject({ status: "CANCELLED", orphan_pids: [], exit_code: exitCode });
    await until("the worker leaves", () => !isAlive(job.worker_pid!));
  });

  testWith(["sudo"], `${name}: each look-up reports it as well if the worker is killed too`, async () => {
    await using box = new Sandbox();
    await using user = await Sudoer.create(box);
    const job = await user.startPaying(script);
    expect((await cancel(user)).code).toBe(4);
    await killWorker(job);
    await expectGuarded(user, /job \S+ was cancelled, but its command still runs/, { status: "CANCELLED" });
  });

  testWith(["sudo"], `${name}: for a lost job the message has a command that works`, async () => {
    await using box = new Sandbox();
    await using user = await Sudoer.create(box);
    const job = await user.startPaying(script);
    await killWorker(job);
    await expectGuarded(user, /the worker of job \S+ is lost, but its command still runs/, {
      status: "LOST",
    });
  });
}

/** sudo closes inherited descriptors, and clears the environment. */
const SILENT = "exec $SUDO_PAY > /dev/null 2>&1 < /dev/null";
/** /proc hides root's processes, and their output goes elsewhere. */
const HIDDEN = /but its command still runs: process \d+ \(hidden from you: .*hidepid\)/;

async function timeOut(script: string, hidepid: boolean): Promise<void> {
  await using box = new Sandbox();
  await using user = await Sudoer.create(box, { hidepid });
  const command = ["sh", "-c", script.replaceAll("$SUDO_PAY", `sudo -n ${user.pay} A`)];
  const ended = await user.run("run", "--run-key", "pay", "--timeout", "1s", "--", ...command);
  expect(ended.code).toBe(124);
  expect(ended.stderr).toMatch(/timed out after 1s, but its command still runs: process.* sudo kill \d+/);
  const job = await user.status();
  if (hidepid) await killWorker(job);
  const why = hidepid ? HIDDEN : /job \S+ timed out after 1s, but its command still runs: process/;
  await expectGuarded(user, why, { status: "FAILED", failure: "timed_out", orphan_pids: user.payers() });
}

testWith(["sudo"], "a job that timed out keeps its key until root's processes are gone", async () => {
  await Promise.all([...SCRIPTS.map(([, script]) => timeOut(script, false)), timeOut(SILENT, true)]);
});

testWith(["sudo"], "under hidepid=2 a lost job keeps its key", async () => {
  await using box = new Sandbox();
  await using user = await Sudoer.create(box, { hidepid: true });
  const job = await user.startPaying(SILENT);
  await killWorker(job);
  const ended = { status: "LOST", orphan_pids: [job.target_pid!] };
  await expectGuarded(user, HIDDEN, ended, /orchesjob cancel --job-id/);
});

testWith(["sudo"], "under hidepid=2 a cancelled job whose worker is killed keeps its key", async () => {
  await using box = new Sandbox();
  await using user = await Sudoer.create(box, { hidepid: true });
  const job = await user.startPaying(SILENT);
  expect((await cancel(user)).code).toBe(4);
  await killWorker(job);
  await expectGuarded(user, HIDDEN, { status: "CANCELLED", orphan_pids: user.payers() });
});

testWith(
  ["sudo"],
  "under hidepid=2 a lost job keeps its key if sudo was killed, but not what it runs",
  async () => {
    await using box = new Sandbox();
    await using user = await Sudoer.create(box, { hidepid: true });
    const job = await user.startPaying(SILENT);
    await killWorker(job);
    await user.status();
    await killAndWait(job.target_pid!);
    const why = /its command still has a process that \/proc hides from you \(hidepid\)/;
    expectRefused(await user.run(...START), why, /sudo kill -- -\d+/);
    user.finish();
    await until("the key is free", async () => (await user.run(...START)).code === 0);
  },
);

testWith(["sudo"], "a job that was ended because it stalled does, too", async () => {
  await using box = new Sandbox();
  await using user = await Sudoer.create(box);
  const command = ["sh", "-c", SILENT.replaceAll("$SUDO_PAY", `sudo -n ${user.pay} A`)];
  const stall = ["--stall-after", "1s", "--on-stall", "cancel"];
  const ended = await user.run("run", "--run-key", "pay", ...stall, "--", ...command);
  expect(ended.code).toBe(124);
  expect(ended.stderr).toMatch(
    /was ended \(stalled: no output for 1s\), but its command still runs: process.* sudo kill \d+/,
  );
  const why = /job \S+ was ended \(stalled: no output for 1s\), but its command still runs: process/;
  await expectGuarded(user, why, { status: "FAILED", failure: "stalled", orphan_pids: user.payers() });
});
