/** An agent that stays, after a reboot: the other members hear what the reboot has interrupted, without a start on that host. */
import { expect, setDefaultTimeout } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Fleet } from "../support/fleet.ts";
import { Network } from "../support/hosts.ts";
import { testWith } from "../support/needs.ts";
import { killAndWait } from "../support/processes.ts";
import { BINARY, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

testWith(["postgresql", "netns"], "an agent that stays reports what a reboot has interrupted", async () => {
  const { network, server } = await Network.create();
  await using _network = network;
  await using _server = server;
  await using fleet = await Fleet.create(server);
  const host = await network.host("h1", fleet.database);
  const member = await fleet.member("m1", ["--lease", "2s"], host);
  await member.json(["start", "--run-key", "k", "--", "sleep", "1000"]);
  await until("it is published", async () => (await fleet.registered("k"))[0]?.status === "RUNNING");
  const retries = ["--retries", "1", "--retry-delay", "1h"];
  await member.json(["start", "--run-key", "waits", ...retries, "--", "false"]);
  await until("its second attempt is accepted", async () => (await fleet.registered("waits")).length === 2);
  // Everything ends at once: the agent sees no worker die, and no worker starts another agent.
  const killed = await member.agent();
  process.kill(killed, "SIGSTOP");
  for (const pid of member.processes().filter((each) => each !== killed)) await killAndWait(pid);
  await killAndWait(killed);
  expect(member.processes()).toEqual([]);
  // The host has booted.
  writeFileSync(join(network.directory, "boot-h1"), `${crypto.randomUUID()}\n`);
  const agent = member.spawn([BINARY, "_agent", "--stay"]);
  await until("it is lost", async () => (await fleet.registered("k"))[0]?.status === "LOST");
  expect((await fleet.registered("k"))[0]).toMatchObject({ lost_reason: "reboot", holds_key: false });
  await until("so is the attempt that waited", async () => {
    const [last] = await fleet.registered("waits");
    return last!.lost_reason === "reboot" && !last!.holds_key;
  });
  agent.kill();
  await agent.exited;
});
