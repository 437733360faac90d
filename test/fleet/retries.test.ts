/** `--retries` in a fleet: the attempts of a run hold its key on all hosts, also between them, whatever becomes of the registry. */
import { expect, setDefaultTimeout } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type AttemptAnswer, attemptsOf, failing, putBackDatabase } from "../support/attempts.ts";
import { Fleet, type FleetAnswer, type Member, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { injectFaults } from "../support/faults.ts";
import { Gate } from "../support/gate.ts";
import { finishedJob, jobThat } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { killAndWait } from "../support/processes.ts";
import { Proxy } from "../support/proxy.ts";
import { TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

/** In seconds. */
const LEASE = "2";

type Answer = AttemptAnswer & FleetAnswer;

/** The job of key `k` as a member sees it, once it is the second attempt. */
const second = (member: Member) =>
  jobThat(member, "k", "is at its second attempt", (job) => job.attempt_no === 2) as Promise<Answer>;

const start = (middle = ":") => ["start", "--run-key", "k", "--", ...witness(middle)];

/** Statuses of the attempts as the registry has them, the first one first. */
async function registered(fleet: Fleet): Promise<readonly string[]> {
  return (await fleet.registered("k")).map(({ status }) => status).reverse();
}

/** Two members; the first one reaches the registry through a proxy, and starts a run at the gate. */
class Scene implements AsyncDisposable {
  private constructor(
    readonly fleet: Fleet,
    readonly proxy: Proxy,
    readonly far: Member,
    readonly near: Member,
    readonly gate: Gate,
  ) {}

  static async create(): Promise<Scene> {
    const fleet = await Fleet.create(await server());
    const proxy = new Proxy(fleet);
    const far = fleet.candidate("far");
    await far.join(["--lease", LEASE], proxy.url);
    return new Scene(fleet, proxy, far, await fleet.member("near", ["--lease", LEASE]), new Gate(fleet));
  }

  /** Starts a command that fails at the gate as its first attempt. */
  async start(delay = "0", ...options: readonly string[]): Promise<Answer> {
    const command = witness(`test $ORCHESJOB_ATTEMPT -gt 1 || { ${this.gate.wait}; exit 7; }`);
    const words = ["start", "--run-key", "k", "--retries", "1", "--retry-delay", delay, ...options, "--"];
    const job = await this.far.json<Answer>([...words, ...command]);
    await this.far.untilPublished();
    return job;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.gate.open();
    this.proxy.heal();
    await this.fleet[Symbol.asyncDispose]();
    this.proxy[Symbol.dispose]();
  }
}

testWith(WITH_SERVER, "the attempts of a run are one run for all hosts", async () => {
  await using fleet = await Fleet.create(await server());
  const [m1, m2] = (await fleet.members(2)) as [Member, Member];
  await using gate = new Gate(fleet);
  const hooks = join(fleet.directory, "hooks");
  const script = `echo "attempt $ORCHESJOB_ATTEMPT"; ${gate.wait}; test $ORCHESJOB_ATTEMPT -ge 3 || exit 7; exit 9`;
  const words = ["--run-key", "k", "--request-id", "r", "--retries", "2", "--retry-delay", "0"];
  const hook = ["--on-exit", `echo attempt $ORCHESJOB_ATTEMPT >> ${hooks}`];
  const first = await m1.json<Answer>(["start", ...words, ...hook, "--strict", "--", "sh", "-c", script]);
  // Of all hosts, and of any attempt, that is the last.
  const running = m2.run(["run", ...words, "--", "sh", "-c", script]);
  const waiting = m2.run(["wait", "--job-id", first.job_id, "--exit-status"]);
  const several = m2.run(["wait", "--job-id", first.job_id, "--job-id", first.job_id]);
  // One of m1's agent.
  await fleet.listeners(3);
  gate.open();
  expect((await running).code).toBe(9);
  const waited = await waiting;
  expect([waited.code, (JSON.parse(waited.stdout) as Answer).attempt_no]).toEqual([9, 3]);
  expect(JSON.stringify(JSON.parse((await several).stdout))).toContain('"attempt_no":3');

  const attempts = await attemptsOf(m2);
  expect(attempts.map(({ status, attempt_no, exit_code }) => [status, attempt_no, exit_code])).toEqual([
    ["FAILED", 1, 7],
    ["FAILED", 2, 7],
    ["FAILED", 3, 9],
  ]);
  const ids = attempts.map(({ job_id }) => job_id);
  expect(attempts.map((job) => job.retry_of_job_id)).toEqual([null, ids[0]!, ids[1]!]);
  expect(attempts.map((job) => job.retried_by_job_id)).toEqual([ids[1]!, ids[2]!, null]);
  const tokens = attempts.map((job) => job.fencing_token);
  expect(tokens.every((token, index) => index === 0 || token > tokens[index - 1]!)).toBe(true);
  expect((await attemptsOf(m1)).map((job) => job.fencing_token)).toEqual(tokens);
  const rows = await fleet.sql("select job_id, retry_of_job_id from orchesjob.jobs order by fencing_token");
  expect(rows.map((row) => row["retry_of_job_id"])).toEqual([null, ids[0]!, ids[1]!]);
  for (const member of [m1, m2])
    expect(await member.json(["start", ...words, "--", "sh", "-c", script])).toMatchObject({
      ...{ existing: true, job_id: ids[2]! },
    });
  expect(await m2.json(["start", "--run-key", "k", "--strict", "--", "true"])).toMatchObject({
    ...{ existing: true, job_id: ids[2]! },
  });
  expect(await until("the hook has run", () => existsSync(hooks) && readFileSync(hooks, "utf8"))).toMatch(
    /^attempt.*\n$/,
  );
  expect(await m2.json(["result", "--run-key", "k"])).toMatchObject({ stdout: "attempt 3\n" });
});

testWith(
  WITH_SERVER,
  "between two attempts the key is taken on all hosts; cancel there ends the run",
  async () => {
    await using fleet = await Fleet.create(await server());
    const [m1, m2] = (await fleet.members(2)) as [Member, Member];
    await m1.json(["start", ...failing()]);
    const [first] = (await attemptsOf(m1)) as [Answer];
    const waiting = await second(m2);
    expect(waiting).toMatchObject({ status: "STARTING", member: "m1", retry_of_job_id: first.job_id });
    expect(await m2.json(["start", "--run-key", "k", "--", "true"])).toMatchObject({
      ...{ existing: true, job_id: waiting.job_id },
    });
    await m1.untilPublished();
    expect<unknown>(await m2.json(["clean", "--fleet", "--keep", "0"])).toMatchObject({ deleted: 0 });
    // By the id of an attempt that has failed.
    const words = ["cancel", "--job-id", first.job_id, "--reason", "enough"];
    expect(await m2.json(words)).toMatchObject({
      ...{ job_id: waiting.job_id, status: "CANCELLED", cancel_reason: "enough" },
    });
    expect((await attemptsOf(m1)).map(({ status }) => status)).toEqual(["FAILED", "CANCELLED"]);
    const again = await m2.json(["rerun", "--sync", "--job-id", first.job_id]);
    expect(again).toMatchObject({ attempt_no: 3, status: "SUCCEEDED", retries: 3, member: null });
  },
);

testWith(
  WITH_SERVER,
  "starts on all hosts at any moment of a run get the run, and none begins another",
  async () => {
    await using fleet = await Fleet.create(await server());
    const [m1, ...others] = (await fleet.members(3)) as [Member, ...Member[]];
    const words = ["--retries", "6", "--retry-delay", "0"];
    const script = 'test "$ORCHESJOB_ATTEMPT" -gt 6 || exit 7';
    const run = m1.json(["start", "--run-key", "k", "--sync", ...words, "--", ...witness(script)]);
    await until("it has begun", () => readExecutions(fleet, "k").started.length > 0);
    const last = await Promise.all(
      others.map((member) =>
        until("a start begins another job", async () => {
          const job = await member.json(["start", "--run-key", "k", "--sync", "--", ...witness(":")]);
          return !job.existing && job;
        }),
      ),
    );
    expect(await run).toMatchObject({ status: "SUCCEEDED", attempt_no: 7 });
    expect(last.map((job) => job.attempt_no).toSorted()).toEqual([8, 9]);
    const { started, overlapping } = readExecutions(fleet, "k");
    expect(overlapping).toEqual([]);
    expect(started).toEqual((await fleet.registered("k")).map(({ job_id }) => job_id).reverse());
  },
);

testWith(
  WITH_SERVER,
  "while the registry is away, the next attempt waits for it, and runs once",
  async () => {
    await using scene = await Scene.create();
    const { fleet, proxy, far, near, gate } = scene;
    const first = await scene.start();
    proxy.leave();
    gate.open();
    const waiting = await second(far);
    expect(waiting).toMatchObject({ status: "STARTING", fencing_token: null });
    // Nobody but its host knows that the first attempt has failed, so it still holds the key.
    expect(await near.json(start())).toMatchObject({ ...{ existing: true, job_id: first.job_id } });
    // Also without the agent.
    await killAndWait(await far.agent());
    proxy.heal();
    expect(await finishedJob(near, "k")).toMatchObject({ status: "SUCCEEDED", job_id: waiting.job_id });
    expect(readExecutions(fleet, "k")).toMatchObject({
      ...{ started: [first.job_id, waiting.job_id], overlapping: [] },
    });
  },
);

testWith(
  WITH_SERVER,
  "cancel while the registry has yet to hear of the next attempt ends that one",
  async () => {
    await using scene = await Scene.create();
    const { fleet, proxy, far, near, gate } = scene;
    const first = await scene.start("1h");
    proxy.leave();
    gate.open();
    const waiting = await second(far);
    const cancelling = near.run(["cancel", "--job-id", first.job_id, "--reason", "enough"]);
    await until("the registry has the request", async () => {
      const rows = await fleet.sql("select 1 from orchesjob.job_records where cancel_request is not null");
      return rows.length > 0;
    });
    proxy.heal();
    expect(JSON.parse((await cancelling).stdout)).toMatchObject({
      ...{ job_id: waiting.job_id, status: "CANCELLED", cancel_reason: "enough" },
    });
    expect(await registered(fleet)).toEqual(["FAILED", "CANCELLED"]);
    expect(readExecutions(fleet, "k").started).toEqual([first.job_id]);
    expect(await near.json(["start", "--sync", ...start().slice(1)])).toMatchObject({ existing: false });
  },
);

testWith(
  WITH_SERVER,
  "an attempt that ends before the registry knows it is known there in the end",
  async () => {
    await using scene = await Scene.create();
    const { fleet, proxy, far, gate } = scene;
    await scene.start();
    proxy.leave();
    gate.open();
    const waiting = await second(far);
    const cancelled = await far.json(["cancel", "--run-key", "k"]);
    expect(cancelled).toMatchObject({ job_id: waiting.job_id, status: "CANCELLED" });
    await killAndWait(await far.agent());
    proxy.heal();
    // A start of its own member tells the registry first.
    expect(await far.json(["start", "--sync", ...start().slice(1)])).toMatchObject({
      ...{ existing: false, attempt_no: 3, status: "SUCCEEDED" },
    });
    await far.untilPublished();
    expect(await registered(fleet)).toEqual(["FAILED", "CANCELLED", "SUCCEEDED"]);
  },
);

testWith(
  WITH_SERVER,
  "a worker and an agent that are killed between two attempts leave a free key",
  async () => {
    await using scene = await Scene.create();
    const { fleet, proxy, far, near, gate } = scene;
    await scene.start();
    proxy.leave();
    gate.open();
    const waiting = await second(far);
    await killAndWait(waiting.worker_pid!);
    await killAndWait(await far.agent());
    proxy.heal();
    expect(await far.json(["status", "--run-key", "k"])).toMatchObject({
      ...{ status: "LOST", lost_reason: "start_interrupted" },
    });
    const next = await until("the key is free", async () => {
      const answer = await near.json<FleetAnswer>(start());
      return !answer.existing && answer;
    });
    expect(next.attempt_no).toBe(3);
    expect((await registered(fleet)).slice(0, 2)).toEqual(["FAILED", "LOST"]);
  },
);

testWith(WITH_SERVER, "a key that was given away while an attempt waited ends the run", async () => {
  await using scene = await Scene.create();
  const { fleet, proxy, far, near, gate } = scene;
  const first = await scene.start();
  proxy.leave();
  gate.open();
  const waiting = await second(far);
  await until("the member can be forgotten", async () => {
    return (await near.run(["fleet", "forget", "far", "--reason", "dead"])).code === 0;
  });
  const other = await near.json(["start", "--sync", ...start().slice(1)]);
  expect(other).toMatchObject({ existing: false });
  proxy.heal();
  const ended = await until("the attempt has ended", async () => {
    const job = await far.json<Answer>(["status", "--job-id", waiting.job_id]);
    return job.finished_at !== null && job;
  });
  expect(ended).toMatchObject({ status: "FAILED", failure: "partitioned", exit_code: -1 });
  expect(ended.error).toContain("given to another member");
  await far.untilPublished();
  expect((await registered(fleet)).toSorted()).toEqual(["FAILED", "LOST", "SUCCEEDED"]);
  expect(readExecutions(fleet, "k").started).toEqual([first.job_id, other.job_id]);
});

testWith(WITH_SERVER, "with stop, an attempt that waits ends before its member's lease is over", async () => {
  await using scene = await Scene.create();
  const { fleet, proxy, far, near, gate } = scene;
  const first = await scene.start("1h", "--on-partition", "stop");
  gate.open();
  const waiting = await second(near);
  proxy.leave();
  expect(await finishedJob(far, "k")).toMatchObject({
    ...{ job_id: waiting.job_id, status: "FAILED", failure: "partitioned", retries_left: 0 },
  });
  const other = await until("another member runs the key", async () => {
    const answer = await near.json<FleetAnswer>(start());
    return !answer.existing && answer;
  });
  proxy.heal();
  await far.untilPublished();
  expect(await registered(fleet)).toEqual(["FAILED", "LOST", "SUCCEEDED"]);
  expect(readExecutions(fleet, "k").started).toEqual([first.job_id, other.job_id]);
});

testWith(WITH_SERVER, "an attempt that waits is put back into an older database of its host", async () => {
  const putBack = async (isBeforeRun: boolean) => {
    await using fleet = await Fleet.create(await server());
    const [m1, m2] = (await fleet.members(2, ["--lease", LEASE])) as [Member, Member];
    await using gate = new Gate(fleet);
    const worker = await putBackDatabase(m1, gate, isBeforeRun);
    // It still has the database open that is gone.
    for (const agent of m1.agents()) await killAndWait(agent);
    for (const member of [m1, m2])
      expect(await member.json(start())).toMatchObject({ ...{ existing: true, worker_pid: worker } });
    const job = await jobThat(m2, "k", "has succeeded", ({ status }) => status === "SUCCEEDED");
    expect(job.attempt_no).toBe(2);
    expect(job.fencing_token).toBeGreaterThan(0);
    const { started, overlapping } = readExecutions(fleet, "k");
    expect([started.length, overlapping]).toEqual([2, []]);
    expect(await registered(fleet)).toEqual(["FAILED", "SUCCEEDED"]);
  };
  await Promise.all([putBack(true), putBack(false)]);
});

testWith(
  [...WITH_SERVER, "strace"],
  "with stop, no attempt follows one whose processes live when its member is cut off",
  async () => {
    await using scene = await Scene.create();
    const { fleet, proxy, far, gate } = scene;
    const words = ["--retries", "1", "--retry-delay", "0", "--timeout", "1", "--on-partition", "stop"];
    const command = witness(`test $ORCHESJOB_ATTEMPT -gt 1 || ${gate.wait}`);
    const job = await far.json(["start", "--run-key", "k", ...words, "--", ...command]);
    const faults = await injectFaults(far, job.worker_pid!, "pidfd_send_signal,kill:error=EPERM");
    await until("the worker cannot end it", () => faults.count() > 0);
    proxy.leave();
    expect(await finishedJob(far, "k")).toMatchObject({
      ...{ job_id: job.job_id, status: "FAILED", failure: "timed_out", orphan_pids: [job.target_pid!] },
    });
    gate.open();
    await faults.heal();
    proxy.heal();
    await until("the key is free", async () => {
      const result = await far.run(["start", "--sync", ...start().slice(1)]);
      return result.code === 0 && !(JSON.parse(result.stdout) as Answer).existing;
    });
    expect(readExecutions(fleet, "k")).toMatchObject({ overlapping: [] });
    expect(await attemptsOf(far)).toHaveLength(2);
  },
);
