/** `metrics` in a fleet: what it says of the member and the registry, and that it answers without the registry. */
import { expect, setDefaultTimeout } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { readDocument } from "../support/console.ts";
import { type Exposition, parseExposition, valueOf } from "../support/exposition.ts";
import { Fleet, type Member, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { Server } from "../support/postgres.ts";
import { isAlive, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

async function scrape(member: Member): Promise<Exposition> {
  const { stdout, stderr, code } = await member.run(["metrics"]);
  expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
  return parseExposition(stdout);
}

const of = (found: Exposition, name: string, labels?: Record<string, string>) =>
  valueOf(found, `orchesjob_fleet_${name}`, labels);

testWith(WITH_SERVER, "metrics know the members, the lease and the agent", async () => {
  await using fleet = await Fleet.create(await server());
  const [member] = (await fleet.members(3)) as [Member];
  await using gate = new Gate(fleet);
  await startWaiting(member, "k", gate);
  const agent = await member.agent();
  await member.untilPublished();
  // A machine with much to do may need more than a second for an answer.
  const busy = await until("the registry answers in time", async () => {
    const found = await scrape(member);
    return of(found, "registry_up") === 1 && found;
  });
  expect(of(busy, "info", { member: "m1" })).toBe(1);
  const named = [...readDocument("docs/operations.md").matchAll(/^\| `(orchesjob_fleet_\w+)` /gm)];
  const metrics = Object.keys(busy.metrics).filter((name) => name.startsWith("orchesjob_fleet_"));
  expect(named.map((match) => match[1]!)).toEqual(metrics);
  expect(of(busy, "members", { lease: "held" })! + of(busy, "members", { lease: "none" })!).toBe(3);
  expect(of(busy, "members", { lease: "held" })).toBeGreaterThan(0);
  expect(of(busy, "lease_left_seconds")).toBeGreaterThan(20);
  expect(of(busy, "lease_left_seconds")).toBeLessThanOrEqual(60);
  expect(of(busy, "unpublished_changes")).toBe(0);
  expect(of(busy, "renew_failures_total")).toBe(0);
  expect(of(busy, "agent_running")).toBe(1);
  gate.open();
  await member.json(["wait", "--run-key", "k"]);
  await member.untilPublished();
  process.kill(agent, "SIGKILL");
  await until("the agent is gone", () => !isAlive(agent));
  expect(of(await scrape(member), "agent_running")).toBe(0);
});

testWith(
  WITH_SERVER,
  "metrics answer while the registry is gone or silent, and count what fails meanwhile",
  async () => {
    await using running = await Server.start();
    await using fleet = await Fleet.create(running);
    const member = await fleet.member("m1", ["--lease", "3s"]);
    await using gate = new Gate(fleet);
    await startWaiting(member, "k", gate);
    await member.untilPublished();
    await running.stop();
    gate.open();
    await member.json(["wait", "--run-key", "k"]);
    const gone = await until("a renewal has failed", async () => {
      const found = await scrape(member);
      return of(found, "renew_failures_total")! > 0 && found;
    });
    expect(of(gone, "registry_up")).toBe(0);
    expect(of(gone, "members", { lease: "held" })).toBeUndefined();
    expect(of(gone, "unpublished_changes")).toBe(1);
    expect(valueOf(gone, "orchesjob_jobs", { status: "SUCCEEDED" })).toBe(1);
    await until("the lease is over", async () => of(await scrape(member), "lease_left_seconds") === 0);
    await running.start();
    await until("everything is published", async () => of(await scrape(member), "unpublished_changes") === 0);
    running.freeze("SIGSTOP");
    const silent = await scrape(member);
    expect(of(silent, "registry_up")).toBe(0);
    expect(of(silent, "unpublished_changes")).toBe(0);
    running.freeze("SIGCONT");
  },
);

testWith(WITH_SERVER, "metrics start an agent for what a killed one has not published", async () => {
  await using running = await Server.start();
  await using fleet = await Fleet.create(running);
  const member = await fleet.member("m1");
  await using gate = new Gate(fleet);
  await startWaiting(member, "k", gate);
  await member.untilPublished();
  await running.stop();
  gate.open();
  await member.json(["wait", "--run-key", "k"]);
  await until("only the agent is left", () => member.processes().length === 1);
  const agent = await member.agent();
  process.kill(agent, "SIGKILL");
  await until("the agent is gone", () => !isAlive(agent));
  await running.start();
  const left = await scrape(member);
  expect(of(left, "agent_running")).toBe(0);
  expect(of(left, "unpublished_changes")).toBe(1);
  await until("the end is published", async () => (await fleet.registered("k"))[0]?.status === "SUCCEEDED");
});

testWith(
  WITH_SERVER,
  "outside of a fleet there are no such metrics, and a damaged membership is no obstacle",
  async () => {
    await using fleet = await Fleet.create(await server());
    const outsider = fleet.candidate("none");
    await outsider.json(["start", "--sync", "--run-key", "k", "--", "true"]);
    expect((await outsider.run(["metrics"])).stdout).not.toContain("orchesjob_fleet_");
    const member = await fleet.member("m1");
    writeFileSync(join(member.home, "fleet.json"), "{");
    const damaged = await scrape(member);
    expect(of(damaged, "registry_up")).toBe(0);
    expect(of(damaged, "renew_failures_total")).toBe(0);
  },
);
