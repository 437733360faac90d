/** Another user's process cannot pass for a job's: the job's id is visible to everybody, its token is not. */
import { Database } from "bun:sqlite";
import { expect, setDefaultTimeout } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { edit } from "../support/database.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { type HookedJob, hookedJob, lineIn } from "../support/hooks.ts";
import { testWith } from "../support/needs.ts";
import { findProcesses, killAndWait, killWorker, statusOf } from "../support/processes.ts";
import { isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/** Starts another user's process with what that user can know of a job; it lives until it is killed. */
async function forge(
  box: Sandbox,
  variables: Record<string, string>,
  command: readonly string[] = ["sleep", "600"],
): Promise<number> {
  const forger = box.spawn([...AS_NOBODY, ...command], { env: variables });
  await until("it is there", () => /^Uid:\s+65534/m.test(readFileSync(`/proc/${forger.pid}/status`, "utf8")));
  await until("it is itself", () =>
    readFileSync(`/proc/${forger.pid}/cmdline`, "utf8").startsWith(command.join("\0")),
  );
  return forger.pid;
}

async function lostJob(box: Sandbox): Promise<JobAnswer> {
  const gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  await killWorker(job);
  await killAndWait(job.target_pid!);
  return job;
}

testWith(["root"], "another user's process that names a job does not hold its key", async () => {
  await using box = new Sandbox();
  const job = await lostJob(box);
  const forger = await forge(box, { ORCHESJOB_JOB_ID: job.job_id, ORCHESJOB_JOB_TOKEN: job.job_id });
  expect(await statusOf(box, "k")).toMatchObject({ status: "LOST", orphan_pids: [] });
  expect((await box.run(["start", "--run-key", "k", "--sync", "--", "true"])).code).toBe(0);
  expect(isAlive(forger)).toBe(true);
  await killAndWait(forger);
});

testWith(["root"], "nor does it hold the key of a job that an older version accepted", async () => {
  await using box = new Sandbox();
  const job = await lostJob(box);
  edit(box, "update job_records set token = null");
  const forger = await forge(box, { ORCHESJOB_JOB_ID: job.job_id });
  expect(await statusOf(box, "k")).toMatchObject({ status: "LOST", orphan_pids: [] });
  // A process of our own user still counts as the job's.
  const own = box.spawn(["sleep", "600"], { env: { ORCHESJOB_JOB_ID: job.job_id } });
  await until("it runs", () => readFileSync(`/proc/${own.pid}/cmdline`, "utf8").startsWith("sleep"));
  expect(await statusOf(box, "k")).toMatchObject({ orphan_pids: [own.pid] });
  for (const pid of [forger, own.pid]) await killAndWait(pid);
});

testWith(
  ["root"],
  "a process that looks like the worker of a job does not keep it from being lost",
  async () => {
    await using box = new Sandbox();
    const gate = new Gate(box);
    const job = await startWaiting(box, "k", gate);
    await box.execute(["rm", "-r", join(box.home, "locks")]);
    const script = "while :; do sleep 600; done";
    const words = ["sh", "-c", script, "orchesjob", "_worker", "--job-id", job.job_id];
    const forger = await forge(box, {}, words);
    await killWorker(job);
    await killAndWait(job.target_pid!);
    expect(await statusOf(box, "k")).toMatchObject({ status: "LOST" });
    for (const pid of [forger, ...findProcesses(box, "600")]) if (isAlive(pid)) await killAndWait(pid);
  },
);

testWith(["root"], "another user's process neither delays a hook nor is killed with it", async () => {
  await using box = new Sandbox();
  const begun = join(box.directory, "begun");
  const hook = `cd "$ORCHESJOB_HOME/.."; test -e begun && exit; echo $$ > begun; sleep 600`;
  const job = await box.json<HookedJob>(["start", "--run-key", "k", "--on-exit", hook, "--", "true"]);
  const shell = Number(await lineIn(begun));
  const forger = await forge(box, { ORCHESJOB_JOB_ID: job.job_id, ORCHESJOB_HOOK: job.job_id });
  const isOfHook = (pid: number) => pid !== forger;
  const sleep = await until("the hook sleeps", () => findProcesses(box, "sleep", "600").find(isOfHook));
  await killWorker(job);
  for (const pid of [shell, sleep]) if (isAlive(pid)) await killAndWait(pid);
  expect(await hookedJob(box, "k")).toMatchObject({ on_exit_code: 0, on_exit_error: null });
  expect(isAlive(forger)).toBe(true);
  await killAndWait(forger);
});

testWith(["root"], "the token is the job's alone: in no command line, and in no answer", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  using database = new Database(join(box.home, "orchesjob.db"), { readonly: true });
  const { token } = database.query<{ token: string }, []>("select token from jobs").get()!;
  expect(token).toMatch(/^[0-9a-f-]{36}$/);
  expect(readFileSync(`/proc/${job.target_pid}/environ`, "utf8")).toContain(`ORCHESJOB_JOB_TOKEN=${token}\0`);
  for (const pid of [job.worker_pid!, job.target_pid!])
    expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).not.toContain(token);
  for (const words of [["status", "--run-key", "k"], ["list"]])
    expect((await box.run(words)).stdout).not.toContain(token);
});
