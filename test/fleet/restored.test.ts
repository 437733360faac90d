/** The registry was restored from an older dump: it has forgotten what it had acknowledged, and hears it again. */
import { expect, setDefaultTimeout } from "bun:test";
import { join } from "node:path";
import { Fleet, type Member, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { Gate } from "../support/gate.ts";
import { jobThat } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { stop } from "../support/processes.ts";
import { TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();
const LEASE = ["--lease", "2"];

/** Returns what brings the registry back to this moment. */
async function dump(fleet: Fleet): Promise<() => Promise<void>> {
  const file = join(fleet.server.directory, `${fleet.database}.dump`);
  await fleet.server.tool("pg_dump", ["-Fc", "-f", file, fleet.database]);
  return async () => {
    await fleet.sql("drop schema orchesjob cascade");
    await fleet.server.tool("pg_restore", ["-d", fleet.database, file]);
  };
}

const start = (key: string, gate: Gate) => ["start", "--run-key", key, "--", ...witness(gate.wait)];

/** Starts a key until it is granted or given back; returns the answer. */
function startAnyhow(member: Member, words: readonly string[]) {
  return until(`${member.name} gets an answer`, async () => {
    const result = await member.run(words);
    expect([0, 5]).toContain(result.code!);
    return result.code === 0 && (JSON.parse(result.stdout) as { existing: boolean; job_id: string });
  });
}

testWith(
  WITH_SERVER,
  "after a restored dump no key runs twice, and what ended is in the registry again",
  async () => {
    await using fleet = await Fleet.create(await server());
    const [m1, m2] = (await fleet.members(2, LEASE)) as [Member, Member];
    await using gate = new Gate(fleet);
    const before = await m1.answer(["start", "--sync", "--run-key", "before", "--", "true"]);
    await m1.untilPublished();
    const restore = await dump(fleet);
    const running = await m1.answer(start("running", gate));
    const ended = await m1.answer(["start", "--sync", "--run-key", "ended", "--", "true"]);
    await m1.untilPublished();
    await m2.json(["start", "--sync", "--run-key", "other", "--", "true"]);
    await m2.untilPublished();

    await restore();
    const answer = await startAnyhow(m2, start("running", gate));
    expect(answer).toMatchObject({ existing: true, job_id: running.job_id });
    for (const key of ["ended", "other", "before"])
      await until(`the registry knows the end of ${key}`, async () => {
        const [job] = await fleet.registered(key);
        return job?.status === "SUCCEEDED";
      });
    const next = await until("the registry grants keys again", async () => {
      const result = await m2.run(["start", "--sync", "--run-key", "ended", "--", "true"]);
      return result.code === 0 && (JSON.parse(result.stdout) as typeof before);
    });
    expect(next).toMatchObject({ existing: false, attempt_no: ended.attempt_no + 1 });
    // The restored sequence would give the same tokens again.
    expect(next.fencing_token).toBeGreaterThan(running.fencing_token);
    expect(readExecutions(fleet, "running").started).toEqual([running.job_id]);
    expect((await m1.json<{ epoch: number }>(["fleet", "status"])).epoch).toBeGreaterThan(1);
  },
);

testWith(
  WITH_SERVER,
  "a member that is silent during the recovery keeps its key by the older token, and the other job is ended",
  async () => {
    await using fleet = await Fleet.create(await server());
    const [m1, m2] = (await fleet.members(2, LEASE)) as [Member, Member];
    await using gate = new Gate(fleet);
    await m1.json(["start", "--sync", "--run-key", "before", "--", "true"]);
    await m2.json(["start", "--sync", "--run-key", "before too", "--", "true"]);
    await m1.untilPublished();
    await m2.untilPublished();
    const restore = await dump(fleet);
    const older = await m1.answer(["start", "--run-key", "k", "--", "sh", "-c", gate.wait]);
    await m1.untilPublished();
    const agent = await m1.agent();
    await stop(agent);
    await restore();
    // Nobody can know of the first job, so this one is granted: the documents say what synchronous replication buys.
    const younger = await startAnyhow(m2, ["start", "--run-key", "k", "--", "sh", "-c", gate.wait]);
    expect(younger.existing).toBe(false);
    process.kill(agent, "SIGCONT");
    const ended = await until("the younger job is over", async () => {
      const job = await m2.json(["status", "--job-id", younger.job_id]);
      return job.finished_at !== null && job;
    });
    expect(ended).toMatchObject({ status: "FAILED", failure: "partitioned" });
    await m2.untilPublished();
    expect(await m2.json(["start", "--run-key", "k", "--", "true"])).toMatchObject({
      ...{ existing: true, job_id: older.job_id, status: "RUNNING" },
    });
  },
);

testWith(
  WITH_SERVER,
  "a registry that has gone back to an earlier attempt of a run does not end the one that runs",
  async () => {
    await using fleet = await Fleet.create(await server());
    const [m1, m2] = (await fleet.members(2, LEASE)) as [Member, Member];
    await using gate = new Gate(fleet);
    const script = `${gate.wait}; test $ORCHESJOB_ATTEMPT -gt 1 || exit 7`;
    const retries = ["--retries", "1", "--retry-delay", "0"];
    const first = await m1.answer(["start", "--run-key", "k", ...retries, "--", ...witness(script)]);
    await m1.untilPublished();
    const restore = await dump(fleet);
    gate.open(1);
    const later = await jobThat(
      m1,
      "k",
      "runs again",
      (job) => job.attempt_no === 2 && job.target_pid !== null,
    );
    await m1.untilPublished();
    await restore();
    const answer = await startAnyhow(m2, start("k", gate));
    expect(answer.existing).toBe(true);
    await until("the registry knows both again", async () => {
      const jobs = (await fleet.registered("k")).map((job) => `${job.status} ${job.holds_key}`);
      return jobs.join() === "RUNNING true,FAILED false";
    });
    gate.open();
    await until("the registry knows the end", async () => {
      const [job] = await fleet.registered("k");
      return job!.status === "SUCCEEDED" && job!.job_id === later.job_id;
    });
    expect(readExecutions(fleet, "k").started).toEqual([first.job_id, later.job_id]);
  },
);

testWith(
  WITH_SERVER,
  "an attempt of a run that the registry has forgotten does not take the key from a job that has it by now",
  async () => {
    await using fleet = await Fleet.create(await server());
    const [m1, m2] = (await fleet.members(2, LEASE)) as [Member, Member];
    await using gate = new Gate(fleet);
    await using second = new Gate(fleet, "second");
    await m1.json(["start", "--sync", "--run-key", "before", "--", "true"]);
    await m2.json(["start", "--sync", "--run-key", "before too", "--", "true"]);
    await m1.untilPublished();
    await m2.untilPublished();
    const restore = await dump(fleet);
    const retries = ["--retries", "1", "--retry-delay", "0"];
    const command = witness(`${gate.wait}; exit 7`);
    const first = await m1.answer(["start", "--run-key", "k", ...retries, "--", ...command]);
    await m1.untilPublished();
    const agent = await m1.agent();
    await stop(agent);
    gate.open();
    const waiting = await jobThat(m1, "k", "waits for its second attempt", (job) => job.attempt_no === 2);
    await restore();
    const younger = await startAnyhow(m2, start("k", second));
    expect(younger.existing).toBe(false);
    process.kill(agent, "SIGCONT");
    await until("the attempt has ended", async () => {
      const job = await m1.json<{ failure: string | null }>(["status", "--job-id", waiting.job_id]);
      return job.failure === "partitioned";
    });
    await m1.untilPublished();
    second.open();
    await jobThat(m1, "k", "has succeeded", ({ job_id, status }) => {
      return job_id === younger.job_id && status === "SUCCEEDED";
    });
    expect(readExecutions(fleet, "k")).toMatchObject({
      ...{ started: [first.job_id, younger.job_id], overlapping: [] },
    });
  },
);
