/** A disk that was copied, a host that was rebooted, a clock that is wrong. */
import { expect, setDefaultTimeout } from "bun:test";
import { expectFailure } from "../support/expect.ts";
import { Fleet, type FleetAnswer } from "../support/fleet.ts";
import { Gate } from "../support/gate.ts";
import { networkOfFile } from "../support/hosts.ts";
import { finishedJob } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { killAndWait, stop } from "../support/processes.ts";
import { BINARY, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS);
const network = networkOfFile();
const LEASE = 2;
const TERMS = ["--lease", String(LEASE)];

testWith(
  ["postgresql", "netns", "machine-id"],
  "a copy of a member's disk on another machine is refused, and becomes a member of its own",
  async () => {
    const { network: cables, server } = await network();
    await using fleet = await Fleet.create(server);
    const original = await fleet.member("m1", TERMS, await cables.host("host1", fleet.database));
    await using gate = new Gate(fleet);
    const job = await original.answer(["start", "--run-key", "k", "--", ...witness(gate.wait)]);
    const copy = fleet.candidate("m2", await cables.host("host2", fleet.database));
    await copy.execute(["cp", "-a", original.home, copy.home]);
    const words = ["start", "--run-key", "another", "--", ...witness(":")];
    expectFailure(await copy.run(words), 4, /this state directory is a copy: .* in use on host host1/);
    expect(readExecutions(fleet, "another").started).toEqual([]);
    expect((await original.json(["status", "--run-key", "k"])).status).toBe("RUNNING");
    expect(await copy.json<object>(["fleet", "leave", "--copy"])).toEqual({ left: true, member: "m1" });
    await copy.join();
    expect(await copy.json(["start", "--sync", ...words.slice(1)])).toMatchObject({ status: "SUCCEEDED" });
    expect(await copy.json(["start", "--run-key", "k", "--", "true"])).toMatchObject({
      ...{ existing: true, job_id: job.job_id, status: "RUNNING" },
    });
  },
);

testWith(
  ["postgresql", "netns"],
  "after a reboot a job is LOST for the fleet, and its key runs again, on its host and elsewhere",
  async () => {
    const { network: cables, server } = await network();
    await using fleet = await Fleet.create(server);
    const name = `host-${fleet.database}`;
    const member = await fleet.member("m1", TERMS, await cables.host(name, fleet.database));
    const other = await fleet.member("m2", TERMS);
    await using gate = new Gate(fleet);
    const job = await member.answer(["start", "--run-key", "k", "--", ...witness(gate.wait)]);
    await member.untilPublished();
    // All at once, as far as they can see: an agent would record what became of the worker.
    const agent = await member.agent();
    await stop(agent);
    for (const pid of [job.worker_pid!, job.target_pid!, agent]) await killAndWait(pid);
    member.host = await cables.host(name, fleet.database, member.host);
    const again = await until("the key runs again", async () => {
      const result = await member.run(["start", "--sync", "--run-key", "k", "--", ...witness(":")]);
      expect([0, 5]).toContain(result.code!);
      return result.code === 0 && (JSON.parse(result.stdout) as FleetAnswer);
    });
    expect(again).toMatchObject({ existing: false, attempt_no: 2, status: "SUCCEEDED" });
    await member.untilPublished();
    expect(await other.json(["status", "--job-id", job.job_id])).toMatchObject({
      ...{ status: "LOST", lost_reason: "reboot" },
    });
    expect(await other.json(["start", "--sync", "--run-key", "k", "--", ...witness(":")])).toMatchObject({
      attempt_no: 3,
    });
    expect(readExecutions(fleet, "k").overlapping).toEqual([]);
  },
);

testWith(
  ["postgresql", "netns", "faketime"],
  "a wall clock that is an hour off changes nothing about leases",
  async () => {
    const { network: cables, server } = await network();
    for (const offset of ["+3600", "-3600"]) {
      await using fleet = await Fleet.create(server);
      const host = await cables.host(`host-${fleet.database}`, fleet.database);
      const member = await fleet.member("m1", TERMS, host);
      const other = await fleet.member("m2", TERMS);
      await using gate = new Gate(fleet);
      const wrong = ["faketime", "--exclude-monotonic", "-f", offset, BINARY];
      const start = ["start", "--run-key", "k", "--on-partition", "stop", "--", ...witness(gate.wait)];
      const started = await member.execute([...wrong, ...start]);
      expect(started).toMatchObject({ code: 0 });
      const job = JSON.parse(started.stdout) as FleetAnswer;
      const beats = async () =>
        Number(
          (await fleet.sql<{ beats: string }>("select sum(beat) as beats from orchesjob.sessions"))[0]!.beats,
        );
      const before = await beats();
      await until("the lease is renewed", async () => (await beats()) > before + 3);
      expect((await other.json(["status", "--run-key", "k"])).status).toBe("RUNNING");
      await host.pull();
      const pulledAt = Date.now();
      expect(await finishedJob(member, "k")).toMatchObject({ status: "FAILED", failure: "partitioned" });
      const next = await until("another member runs the key", async () => {
        const answer = await other.answer(["start", "--run-key", "k", "--", ...witness(":")]);
        return !answer.existing && answer;
      });
      expect(Date.now() - pulledAt).toBeGreaterThan(LEASE * 1000);
      expect(next.fencing_token).toBeGreaterThan(job.fencing_token);
      expect(readExecutions(fleet, "k").overlapping).toEqual([]);
      await host.plug();
    }
  },
);
