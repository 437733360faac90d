/** A standby is promoted that lacks the last transactions: no key runs twice at once, and what ended is in the registry at last. */
import { expect, setDefaultTimeout } from "bun:test";
import { join } from "node:path";
import { Fleet, type FleetAnswer, type Member, WITH_SERVER } from "../support/fleet.ts";
import { testWith } from "../support/needs.ts";
import { Server } from "../support/postgres.ts";
import { TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS * 2);

/** Long enough for the agents to publish again within one lease, short enough for a test. */
const LEASE = ["--lease", "4s"];

testWith(
  WITH_SERVER,
  "a promoted standby that lacks the last claims: no key twice, and no result lost",
  async () => {
    await using server = await Server.start("wal_level = replica\nmax_wal_senders = 3\n");
    await using fleet = await Fleet.create(server);
    const [first, second] = (await fleet.members(2, LEASE)) as [Member, Member];
    await first.json(["start", "--sync", "--run-key", "before", "--", "true"]);
    await first.untilPublished();
    // The copy is as old as this moment.
    const copy = join(server.directory, "standby");
    await server.tool("pg_basebackup", ["-D", copy, "-X", "stream", "-c", "fast"]);
    const running = await first.answer(["start", "--run-key", "running", "--", ...witness("sleep 1000")]);
    const ended = await first.answer(["start", "--run-key", "ended", "--sync", "--", "true"]);
    await until("the registry has both", async () => {
      const [there] = await fleet.registered("ended");
      return there?.status === "SUCCEEDED" && (await fleet.registered("running"))[0]?.status === "RUNNING";
    });

    // Its agent must not say it again before we have looked.
    const agent = await first.agent();
    process.kill(agent, "SIGSTOP");
    await server.promote(copy);
    expect(await fleet.registered("running")).toEqual([]);
    // Another member, which knows nothing of it, must not get the key.
    const start = ["start", "--run-key", "running", "--", ...witness("sleep 1000")];
    const refused = await second.run(start);
    expect({ code: refused.code, says: refused.stderr }).toEqual({
      code: 5,
      says: expect.stringContaining("may have lost its last moments"),
    });
    process.kill(agent, "SIGCONT");
    const existing = await until("the registry has heard of the job", async () => {
      const answer = await second.run(start);
      return answer.code === 0 && (JSON.parse(answer.stdout) as { existing: boolean; job_id: string });
    });
    expect(existing).toMatchObject({ existing: true, job_id: running.job_id });
    expect(readExecutions(fleet, "running")).toMatchObject({ started: [running.job_id], overlapping: [] });
    await until(
      "the result is there again",
      async () => (await fleet.registered("ended"))[0]?.status === "SUCCEEDED",
    );
    const later = await until("the registry grants keys again", async () => {
      const answer = await second.run(["start", "--run-key", "ended", "--sync", "--", "true"]);
      return answer.code === 0 && (JSON.parse(answer.stdout) as FleetAnswer);
    });
    expect(later.fencing_token).toBeGreaterThan(ended.fencing_token);
    await first.json(["cancel", "--run-key", "running"]);
  },
);
