/**
 * Promises 3 and 4: what becomes of a job whose host is cut off from the registry. Hosts are network namespaces, and the test
 * pulls their cables.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { expectFailure } from "../support/expect.ts";
import { Fleet, type FleetAnswer, type Member } from "../support/fleet.ts";
import { Gate } from "../support/gate.ts";
import { networkOfFile, type Host } from "../support/hosts.ts";
import { finishedJob } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { killAndWait, stop } from "../support/processes.ts";
import { TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS);
const network = networkOfFile();
const NEEDS = ["postgresql", "netns"] as const;

/** In seconds. */
const LEASE = 2;

interface Pair extends AsyncDisposable {
  readonly fleet: Fleet;
  readonly host: Host;
  /** On that host. */
  readonly member: Member;
  /** With the server, so that it is never cut off. */
  readonly other: Member;
  readonly gate: Gate;
}

async function makePair(lease = LEASE): Promise<Pair> {
  const { network: cables, server } = await network();
  const fleet = await Fleet.create(server);
  const host = await cables.host(`host-${fleet.database}`, fleet.database);
  const terms = ["--lease", String(lease)];
  const member = await fleet.member("far", terms, host);
  const other = await fleet.member("near", terms);
  const gate = new Gate(fleet);
  return {
    ...{ fleet, host, member, other, gate },
    async [Symbol.asyncDispose]() {
      gate.open();
      await host.plug();
      await fleet[Symbol.asyncDispose]();
    },
  };
}

const start = ({ gate }: Pair, policy: string, middle = gate.wait) => [
  ...["start", "--run-key", "k", "--on-partition", policy, "--", ...witness(middle)],
];

/** Starts the key elsewhere as often as it takes. */
function takeOver(pair: Pair): Promise<FleetAnswer> {
  return until("another member runs the key", async () => {
    const answer = await pair.other.answer(start(pair, "stop", ":"));
    return !answer.existing && answer;
  });
}

function silentFor(pair: Pair, seconds: number): Promise<FleetAnswer> {
  return until("the other member sees that the host is silent", async () => {
    const seen = await pair.other.answer(["status", "--run-key", "k"]);
    return (seen.silent_seconds ?? 0) > seconds && seen;
  });
}

testWith(NEEDS, "with continue, a job that is cut off goes on and keeps its key, however long", async () => {
  await using pair = await makePair();
  const { fleet, host, member, other, gate } = pair;
  const job = await member.answer(start(pair, "continue"));
  await member.untilPublished();
  await host.pull();
  await silentFor(pair, 2 * LEASE);
  const again = await other.answer(start(pair, "continue"));
  expect(again).toMatchObject({ job_id: job.job_id, existing: true, status: "RUNNING", member: "far" });
  expect(again.host).toBe(`host-${fleet.database}`);
  expect((await member.json(["status", "--run-key", "k"])).status).toBe("RUNNING");
  gate.open();
  expect((await finishedJob(member, "k")).status).toBe("SUCCEEDED");
  await host.plug();
  const told = await finishedJob(other, "k");
  expect(told).toMatchObject({ job_id: job.job_id, status: "SUCCEEDED", lost_reason: null });
  expect(readExecutions(fleet, "k").started).toEqual([job.job_id]);
});

testWith(
  NEEDS,
  "with stop, a job that is cut off has ended before its lease is over, and then another member runs the key",
  async () => {
    await using pair = await makePair();
    const { fleet, host, member, other } = pair;
    const job = await member.answer(start(pair, "stop"));
    await member.untilPublished();
    await host.pull();
    const pulledAt = Date.now();
    const ended = await finishedJob(member, "k");
    expect(ended).toMatchObject({ status: "FAILED", failure: "partitioned", job_id: job.job_id });
    expect(Date.parse(ended.finished_at!) - pulledAt).toBeLessThan(LEASE * 1000);
    const next = await takeOver(pair);
    expect(Date.parse(next.started_at) - Date.parse(ended.finished_at!)).toBeGreaterThan(LEASE * 1000);
    expect(next.fencing_token).toBeGreaterThan(job.fencing_token);
    expect(next.attempt_no).toBe(2);
    const history = await other.json<FleetAnswer[]>(["status", "--run-key", "k", "--all"]);
    expect(history[1]).toMatchObject({ status: "LOST", lost_reason: "host_unreachable" });
    expect(readExecutions(fleet, "k")).toMatchObject({
      started: [job.job_id, next.job_id],
      overlapping: [],
    });

    // What its host knows better stands beside what was said of it meanwhile.
    await host.plug();
    await until("the host's word is there", async () => {
      const [, first] = await fleet.registered("k");
      return first!.status === "LOST" && first!.late_status === "FAILED";
    });
    expect((await member.json(["status", "--job-id", job.job_id])).failure).toBe("partitioned");
  },
);

testWith(NEEDS, "a cable that is pulled for less than the lease changes nothing", async () => {
  // A busy machine takes a second or two for what happens meanwhile.
  await using pair = await makePair(8);
  const { fleet, host, member, other, gate } = pair;
  const job = await member.answer(start(pair, "stop"));
  await until("the registry knows that it runs", async () => {
    return (await fleet.registered("k"))[0]!.status === "RUNNING";
  });
  const renewals = async () => {
    const [session] = await fleet.sql<{ beat: string }>(
      `select beat::text from orchesjob.sessions s join orchesjob.member_records m using (member_id) where m.name = 'far'`,
    );
    return Number(session!.beat);
  };
  const before = await renewals();
  await until("a renewal", async () => (await renewals()) > before);
  const counted = await renewals();
  await host.pull();
  // LOST is said of nobody who is only slow, however often somebody asks.
  const asking = async () => {
    const answer = await other.answer(start(pair, "stop"));
    expect(answer).toMatchObject({
      job_id: job.job_id,
      existing: true,
      status: "RUNNING",
      lost_reason: null,
    });
  };
  for (let asked = 0; asked < 3; asked++) await asking();
  await host.plug();
  await until("the lease is renewed again", async () => {
    await asking();
    return (await renewals()) > counted + 1;
  });
  expect((await member.json(["status", "--run-key", "k"])).status).toBe("RUNNING");
  gate.open();
  expect(await finishedJob(member, "k")).toMatchObject({ job_id: job.job_id, status: "SUCCEEDED" });
});

testWith(
  NEEDS,
  "with stop, an agent that stands still beyond the lease does not keep the command alive, and its word comes too late",
  async () => {
    await using pair = await makePair();
    const { fleet, member } = pair;
    const job = await member.answer(start(pair, "stop"));
    await member.untilPublished();
    const agent = await member.agent();
    await stop(agent);
    const ended = await finishedJob(member, "k");
    expect(ended).toMatchObject({ status: "FAILED", failure: "partitioned" });
    const next = await takeOver(pair);
    process.kill(agent, "SIGCONT");
    await member.untilPublished();
    const [newer, older] = await fleet.registered("k");
    expect(newer).toMatchObject({ job_id: next.job_id, member: "near" });
    expect(older).toMatchObject({ job_id: job.job_id, status: "LOST", late_status: "FAILED" });
    expect(readExecutions(fleet, "k").overlapping).toEqual([]);
  },
);

testWith(
  NEEDS,
  "a member that is silent is forgotten by a person alone, and only when its lease is over",
  async () => {
    await using pair = await makePair();
    const { host, member, other, gate } = pair;
    const job = await member.answer(start(pair, "continue"));
    await member.untilPublished();
    const forget = ["fleet", "forget", "far", "--reason", "its disk burned"];
    expectFailure(await other.run(forget), 4, /member "far" lives/);
    expectFailure(await other.run(["fleet", "forget", "far"]), 2, "--reason");
    expectFailure(await other.run(["fleet", "forget", "nobody", "--reason", "x"]), 3, '"nobody"');
    await host.pull();
    await silentFor(pair, 0);
    expect(await other.json<object>(forget)).toMatchObject({ jobs: [{ job_id: job.job_id, run_key: "k" }] });
    const next = await other.answer(["start", "--run-key", "k", "--", "sh", "-c", gate.wait]);
    expect(next).toMatchObject({ existing: false, attempt_no: 2 });
    expect(next.fencing_token).toBeGreaterThan(job.fencing_token);
    // The dead host comes back after all, and ends its job.
    await host.plug();
    const ended = await until("the job is over", async () => {
      const seen = await member.json(["status", "--job-id", job.job_id]);
      return seen.finished_at !== null && seen;
    });
    expect(ended).toMatchObject({ status: "FAILED", failure: "partitioned" });
    expect((await other.json(["status", "--run-key", "k"])).status).toBe("RUNNING");
  },
);

testWith(NEEDS, "a dead agent is replaced within a third of the lease, and the lease goes on", async () => {
  await using pair = await makePair();
  const { member, gate } = pair;
  await member.answer(start(pair, "stop"));
  const first = await member.agent();
  await killAndWait(first);
  const killedAt = performance.now();
  const second = await until("another agent", () => member.agents().find((pid) => pid !== first));
  expect(second).not.toBe(first);
  expect(performance.now() - killedAt).toBeLessThan((LEASE * 1000) / 3);
  gate.open();
  expect((await finishedJob(member, "k")).status).toBe("SUCCEEDED");
});
