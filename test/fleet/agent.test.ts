/** The agent: it comes when it is needed, is alone, gives back what nothing became of, and goes when there is no work. */
import { expect, setDefaultTimeout } from "bun:test";
import { Fleet, type FleetAnswer, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { finishedJob } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { killAndWait, stop } from "../support/processes.ts";
import { Proxy } from "../support/proxy.ts";
import { BINARY, isAlive, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();
const LONG = process.env["ORCHESJOB_LONG"] === "1";

testWith(
  WITH_SERVER,
  "a launcher that is killed between the registry's claim and its own leaves a key that is soon free",
  async () => {
    await using fleet = await Fleet.create(await server());
    using proxy = new Proxy(fleet);
    const struck = fleet.candidate("struck");
    await struck.join(["--lease", "3"], proxy.url);
    const other = await fleet.member("other");
    proxy.arm("held", 1, "orchesjob.claim");
    const launcher = struck.spawn([BINARY, "start", "--run-key", "k", "--", ...witness(":")]);
    const [claimed] = await until("the registry has granted the key", async () => {
      const found = await fleet.registered("k");
      return found.length > 0 && found;
    });
    await killAndWait(launcher.pid);
    await struck.finished(launcher);
    proxy.heal();
    const next = await until("the key is free", async () => {
      const answer = await other.answer([
        "start",
        "--run-key",
        "k",
        "--start-timeout",
        "0",
        "--",
        ...witness(":"),
      ]);
      return !answer.existing && answer;
    });
    expect(next.attempt_no).toBe(2);
    const first = (await fleet.registered("k")).find(({ job_id }) => job_id === claimed!.job_id);
    expect(first).toMatchObject({ status: "LOST", lost_reason: "start_interrupted", holds_key: false });
    await until("the second one has run", () => readExecutions(fleet, "k").ended.length === 1);
    expect(readExecutions(fleet, "k").started).toEqual([next.job_id]);
  },
);

testWith(
  WITH_SERVER,
  "many starts at once bring one agent, and a killed one is replaced while a job runs",
  async () => {
    await using fleet = await Fleet.create(await server());
    const member = await fleet.member("m1");
    expect(member.agents()).toEqual([]);
    await using gate = new Gate(fleet);
    const keys = Array.from({ length: 8 }, (_, index) => `k${index}`);
    await Promise.all(keys.map((key) => startWaiting(member, key, gate)));
    const first = await member.agent();
    for (let kill = 0; kill < 2; kill++) {
      const agent = await member.agent();
      await killAndWait(agent);
      await until("another agent is alone", async () => {
        const [found, ...others] = member.agents();
        return found !== undefined && found !== agent && others.length === 0;
      });
    }
    expect(member.agents()).not.toContain(first);
    gate.open();
    await until("the registry knows every end", async () => {
      const rows = await fleet.sql<{ status: string }>("select status from orchesjob.jobs");
      return rows.length === keys.length && rows.every(({ status }) => status === "SUCCEEDED");
    });
  },
);

testWith(
  WITH_SERVER,
  "what an agent was killed over is published once somebody looks at the fleet there",
  async () => {
    await using fleet = await Fleet.create(await server());
    const member = await fleet.member("m1");
    await using gate = new Gate(fleet);
    const job = await startWaiting(member, "k", gate);
    await member.untilPublished();
    const agent = await member.agent();
    await stop(agent);
    gate.open();
    await finishedJob(member, "k");
    await until("the worker has ended", () => !isAlive(job.worker_pid!));
    await killAndWait(agent);
    expect((await fleet.registered("k"))[0]).toMatchObject({ status: "RUNNING" });
    await member.json(["fleet", "status"]);
    await until("it is published", async () => (await fleet.registered("k"))[0]!.status === "SUCCEEDED");
  },
);

testWith(WITH_SERVER, "another member sees an end at once, because it is notified", async () => {
  await using fleet = await Fleet.create(await server());
  const [m1, m2] = await fleet.members(2);
  const delays: number[] = [];
  for (const key of ["k1", "k2", "k3"]) {
    await using gate = new Gate(fleet, key);
    await startWaiting(m1!, key, gate);
    const waiting = m2!.run(["wait", "--run-key", key]);
    await fleet.listeners(2);
    const before = performance.now();
    gate.open();
    expect((JSON.parse((await waiting).stdout) as FleetAnswer).status).toBe("SUCCEEDED");
    delays.push(performance.now() - before);
  }
  // Who is not notified looks every two seconds.
  expect(Math.min(...delays)).toBeLessThan(1_000);
});

// It takes more than a minute.
if (LONG)
  testWith(
    WITH_SERVER,
    "an agent ends a minute after the last job, and the next start brings another one",
    async () => {
      await using fleet = await Fleet.create(await server());
      const member = await fleet.member("m1");
      await member.json(["start", "--sync", "--run-key", "k", "--", "true"]);
      const agent = await member.agent();
      const endedAt = performance.now();
      await until("the agent has ended", () => !member.agents().includes(agent), 120);
      expect(performance.now() - endedAt).toBeGreaterThan(45_000);
      await member.json(["start", "--sync", "--run-key", "k", "--", "true"]);
      expect(await member.agent()).not.toBe(agent);
      await until("it is published", async () => (await fleet.registered("k"))[0]?.status === "SUCCEEDED");
    },
    180_000,
  );
