/** Promises 2 and 5: what holds while the registry cannot be reached, and what it gets to know afterwards. */
import { expect, setDefaultTimeout } from "bun:test";
import { expectFailure } from "../support/expect.ts";
import { Fleet, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { finishedJob } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { killAndWait } from "../support/processes.ts";
import { TIMEOUT_MS } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

testWith(WITH_SERVER, "a start that cannot ask the registry starts nothing, and says so", async () => {
  await using fleet = await Fleet.create(await server());
  const member = await fleet.member("m1");
  await fleet.server.stop();
  try {
    const refused = await member.run(["start", "--run-key", "k", "--", ...witness(":")]);
    expectFailure(refused, 5, /cannot ask the registry of the fleet .*nothing was started/);
    // A run passes on the code of the command, so its own failure is 125.
    expect((await member.run(["run", "--run-key", "k", "--", ...witness(":")])).code).toBe(125);
    expectFailure(await member.run(["status", "--run-key", "k"]), 5, "cannot ask the registry");
  } finally {
    await fleet.server.start();
  }
  expect(readExecutions(fleet, "k").started).toEqual([]);
  const after = await member.json(["start", "--sync", "--run-key", "k", "--", ...witness(":")]);
  expect(after).toMatchObject({ status: "SUCCEEDED", existing: false, attempt_no: 1 });
});

testWith(WITH_SERVER, "a start of a key that is active here is answered without the registry", async () => {
  await using fleet = await Fleet.create(await server());
  const member = await fleet.member("m1");
  await using gate = new Gate(fleet);
  const job = await startWaiting(member, "k", gate);
  await fleet.server.stop();
  try {
    const again = await member.run(["start", "--run-key", "k", "--", "true"]);
    expect(again).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(again.stdout)).toMatchObject({ job_id: job.job_id, existing: true, status: "RUNNING" });
    expect((await member.run(["status", "--run-key", "k"])).code).toBe(0);
    expect((await member.json(["cancel", "--run-key", "k"])).status).toBe("CANCELLED");
  } finally {
    await fleet.server.start();
  }
  await member.untilPublished();
});

testWith(
  WITH_SERVER,
  "a job that ends while the registry is away is published afterwards, although agent and worker are gone",
  async () => {
    await using fleet = await Fleet.create(await server());
    const [member, other] = await fleet.members(2);
    await using gate = new Gate(fleet);
    const job = await startWaiting(member!, "k", gate, "echo done");
    await member!.untilPublished();
    await fleet.server.stop("immediate");
    let ended;
    try {
      gate.open();
      ended = await finishedJob(member!, "k");
      expect(ended).toMatchObject({ job_id: job.job_id, status: "SUCCEEDED", exit_code: 0 });
      await killAndWait(await member!.agent());
    } finally {
      await fleet.server.start();
    }
    // Nobody can know yet: the key waits for its host.
    expect(await other!.answer(["status", "--run-key", "k"])).toMatchObject({ status: "RUNNING" });
    const stays = await other!.answer(["start", "--run-key", "k", "--", "true"]);
    expect(stays).toMatchObject({ existing: true, job_id: job.job_id });

    // The next start of that member brings a new agent, which publishes what is left.
    await member!.json(["start", "--sync", "--run-key", "another", "--", "true"]);
    const told = await finishedJob(other!, "k");
    expect(told).toMatchObject({ job_id: job.job_id, status: "SUCCEEDED", exit_code: 0 });
    expect(told.finished_at).toBe(ended.finished_at);
    const result = await other!.json<{ stdout: string }>(["result", "--run-key", "k"]);
    expect(result.stdout).toBe("done\n");
  },
);

testWith(WITH_SERVER, "a waiter of another member outlasts a registry that is away", async () => {
  await using fleet = await Fleet.create(await server());
  const [member, other] = await fleet.members(2);
  await using gate = new Gate(fleet);
  await startWaiting(member!, "k", gate);
  const waiting = other!.run(["wait", "--run-key", "k"]);
  // The agent, and the one that waits.
  await fleet.listeners(2);
  await fleet.server.stop("immediate");
  gate.open();
  await finishedJob(member!, "k");
  await fleet.server.start();
  const answer = await waiting;
  expect(answer.code).toBe(0);
  expect(JSON.parse(answer.stdout)).toMatchObject({ status: "SUCCEEDED" });
});

testWith(
  WITH_SERVER,
  "a server that is silent is given up after seconds, and nothing is started",
  async () => {
    await using fleet = await Fleet.create(await server());
    // Questions of a member with a short lease have short deadlines.
    const member = await fleet.member("m1", ["--lease", "6"]);
    fleet.server.freeze("SIGSTOP");
    try {
      const refused = await member.run(["start", "--run-key", "k", "--", ...witness(":")]);
      expectFailure(refused, 5, /no answer within 1 s; nothing was started/);
    } finally {
      fleet.server.freeze("SIGCONT");
    }
    expect(readExecutions(fleet, "k").started).toEqual([]);
    expect(await member.json(["start", "--sync", "--run-key", "k", "--", "true"])).toMatchObject({
      existing: false,
      status: "SUCCEEDED",
    });
  },
);
