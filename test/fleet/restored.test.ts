/** The registry was restored from an older dump: it has forgotten what it had acknowledged, and hears it again. */
import { expect, setDefaultTimeout } from "bun:test";
import { join } from "node:path";
import { Fleet, type Member, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { Gate } from "../support/gate.ts";
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
