/** What is seen from another member: every command means the same in a fleet as on one host. */
import { expect, setDefaultTimeout } from "bun:test";
import { expectFailure } from "../support/expect.ts";
import { Fleet, type FleetAnswer, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { finishedJob, jobThat } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { killAndWait, killWorker } from "../support/processes.ts";
import { isAlive, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

testWith(WITH_SERVER, "a job of another member is seen, waited for, and its result is read", async () => {
  await using fleet = await Fleet.create(await server());
  const [m1, m2] = await fleet.members(2);
  await using gate = new Gate(fleet);
  const job = await startWaiting(m1!, "k", gate, "echo out; echo err >&2; exit 3");
  const seen = await m2!.answer(["start", "--run-key", "k", "--", "true"]);
  expect(seen).toMatchObject({ job_id: job.job_id, existing: true, command_matches: false, member: "m1" });
  expect(seen.as_of).toBeString();
  expectFailure(await m2!.run(["logs", "--run-key", "k"]), 4, /run there: ssh /);
  const logs = await m2!.run(["logs", "k", "--stream", "both", "--since", "10m", "-n", "3", "-f"]);
  expectFailure(logs, 4, /orchesjob logs --job-id \S+ --stream both --since 10m --tail 3 --follow/);
  const attach = ["attach", "k", "--format", "json", "--wait", "1h"];
  expectFailure(await m2!.run(attach), 4, /run there: ssh .* orchesjob attach --job-id /);
  expectFailure(await m2!.run(["result", "--run-key", "k"]), 4, "");
  const waiting = [
    m2!.run(["wait", "--run-key", "k", "--exit-status"]),
    m2!.run(["run", "--run-key", "k", "--", "true"]),
    m2!.run(["start", "--sync", "--run-key", "k", "--", "true"]),
  ];
  // The agent, and the three that wait.
  await fleet.listeners(4);
  gate.open();
  const [wait, run, sync] = await Promise.all(waiting);
  expect(wait!.code).toBe(3);
  expect(run!.code).toBe(3);
  expect(sync!.code).toBe(0);
  expect(JSON.parse(sync!.stdout)).toMatchObject({ job_id: job.job_id, status: "FAILED", exit_code: 3 });
  const result = await m2!.json<Record<string, unknown>>(["result", "--run-key", "k"]);
  expect(result).toMatchObject({ stdout: "out\n", stderr: "err\n", exit_code: 3, job_id: job.job_id });
  const short = await m2!.answer(["status", "--job-id", job.job_id.slice(0, 13)]);
  expect(short.job_id).toBe(job.job_id);
});

testWith(
  WITH_SERVER,
  "a job of another member is cancelled from here, and its key is free at once",
  async () => {
    await using fleet = await Fleet.create(await server());
    const [m1, m2] = await fleet.members(2);
    await using gate = new Gate(fleet);
    const job = await startWaiting(m1!, "k", gate);
    const cancelled = await m2!.json<FleetAnswer & { cancel_reason: string }>([
      ...["cancel", "--run-key", "k", "--reason", "wrong host"],
    ]);
    expect(cancelled).toMatchObject({ job_id: job.job_id, status: "CANCELLED", cancel_reason: "wrong host" });
    expect(isAlive(job.target_pid!)).toBe(false);
    expect(await m1!.json(["status", "--run-key", "k"])).toMatchObject({
      status: "CANCELLED",
      cancel_reason: "wrong host",
    });
    const next = await m2!.json(["start", "--sync", "--run-key", "k", "--", "true"]);
    expect(next).toMatchObject({ existing: false, attempt_no: 2, status: "SUCCEEDED" });
    await m2!.untilPublished();
    expectFailure(await m1!.run(["cancel", "--run-key", "k"]), 4, "already SUCCEEDED");
  },
);

testWith(
  WITH_SERVER,
  "a rerun records the --on-partition that it is given, or keeps that of the job",
  async () => {
    await using fleet = await Fleet.create(await server());
    const member = await fleet.member("m1");
    const first = await member.answer(["start", "--sync", "--run-key", "k", "--", ...witness(":")]);
    expect(first.on_partition).toBe("continue");
    const second = await member.answer(["rerun", "--sync", "k", "--on-partition", "stop"]);
    expect(second).toMatchObject({ status: "SUCCEEDED", on_partition: "stop", attempt_no: 2 });
    const third = await member.answer(["rerun", "--sync", "k"]);
    expect(third).toMatchObject({ status: "SUCCEEDED", on_partition: "stop", attempt_no: 3 });
    await member.untilPublished();
    const registered = await fleet.sql<{ on_partition: string }>(
      "select on_partition from orchesjob.jobs where run_key = 'k' order by attempt_no",
    );
    expect(registered.map((job) => job.on_partition)).toEqual(["continue", "stop", "stop"]);
    const ids = [first, second, third].map(({ job_id }) => job_id);
    expect(readExecutions(fleet, "k").started).toEqual(ids);
  },
);

testWith(WITH_SERVER, "a rerun from another member runs the command of the first one there", async () => {
  await using fleet = await Fleet.create(await server());
  const [m1, m2] = await fleet.members(2);
  const first = await m1!.json(["start", "--sync", "--run-key", "k", "--", "sh", "-c", "exit 5"]);
  await m1!.untilPublished();
  const again = await m2!.json<FleetAnswer & { rerun_of_job_id: string }>([
    ...["rerun", "--sync", "--run-key", "k"],
  ]);
  expect(again).toMatchObject({ rerun_of_job_id: first.job_id, attempt_no: 2, exit_code: 5 });
  expect(again.command).toEqual(first.command);
});

testWith(WITH_SERVER, "strictness and unlock are the fleet's", async () => {
  await using fleet = await Fleet.create(await server());
  const [m1, m2, m3] = await fleet.members(3);
  const words = ["start", "--sync", "--strict", "--run-key", "k", "--", "true"];
  const first = await m1!.json(words);
  expect(await m2!.json(words)).toMatchObject({ job_id: first.job_id, existing: true });
  await m3!.json(["unlock", "--run-key", "k", "--reason", "again"]);
  const second = await m2!.json(words);
  const why = { strict_override_used: true, rerun_reason: "again", rerun_of_job_id: first.job_id };
  expect(second).toMatchObject({ existing: false, attempt_no: 2, ...why });
  expect(await m1!.json(words)).toMatchObject({ job_id: second.job_id, existing: true });
  // Of callers at once one alone uses up the permission.
  await m3!.json(["unlock", "--run-key", "k"]);
  const answers = await Promise.all([m1!, m2!, m3!, m1!, m2!, m3!].map((each) => each.json(words)));
  expect(answers.filter((each) => !each.existing)).toHaveLength(1);
  expect(new Set(answers.map((each) => each.attempt_no))).toEqual(new Set([3]));
});

testWith(WITH_SERVER, "a request id means the same job on every member", async () => {
  await using fleet = await Fleet.create(await server());
  const [m1, m2] = await fleet.members(2);
  const words = ["start", "--sync", "--run-key", "k", "--request-id", "r1", "--", "true"];
  const first = await m1!.json(words);
  await m1!.untilPublished();
  expect(await m2!.json(words)).toMatchObject({ job_id: first.job_id, existing: true });
  await m2!.json(["start", "--sync", "--run-key", "k", "--request-id", "r2", "--", "true"]);
  expect(await m2!.json(words)).toMatchObject({ job_id: first.job_id, existing: true });
  const other = [...words.slice(0, -1), "false"];
  expectFailure(await m2!.run(other), 4, "r1");
  // An id that comes while the job of another member is active stands for its command, on every member.
  await using gate = new Gate(fleet);
  const active = await startWaiting(m1!, "l", gate);
  const late = (command: string) => ["start", "--run-key", "l", "--request-id", "r3", "--", command];
  expect(await m2!.json(late("true"))).toMatchObject({ job_id: active.job_id, command_matches: false });
  for (const member of [m1!, m2!]) {
    expect(await member.json(late("true"))).toMatchObject({ job_id: active.job_id });
    expectFailure(
      await member.run(late("false")),
      4,
      /"r3".* belongs to job .* given for with another command/,
    );
  }
});

testWith(
  WITH_SERVER,
  "what a finished job of another member means for a start is as told by --if-",
  async () => {
    await using fleet = await Fleet.create(await server());
    const [m1, m2] = await fleet.members(2);
    const start = (...words: string[]) => ["start", "--sync", "--run-key", "k", ...words];
    const failed = await m1!.json(start("--", "false"));
    await m1!.untilPublished();
    expect(await m2!.json(start("--if-failed", "return", "--", "false"))).toMatchObject({
      job_id: failed.job_id,
      existing: true,
    });
    expect(await m2!.json(start("--if-failed", "rerun", "--", "true"))).toMatchObject({ existing: false });
    await m2!.untilPublished();
    expect(await m1!.json(start("--if-succeeded", "return", "--", "true"))).toMatchObject({ existing: true });
  },
);

testWith(
  WITH_SERVER,
  "a worker that is killed is LOST for the whole fleet, and its orphan fences the key",
  async () => {
    await using fleet = await Fleet.create(await server());
    const [m1, m2] = await fleet.members(2);
    await using gate = new Gate(fleet);
    const job = await startWaiting(m1!, "k", gate);
    await m1!.untilPublished();
    await killWorker(job);
    const lost = await jobThat(m2!, "k", "is LOST", ({ status }) => status === "LOST");
    expect(lost).toMatchObject({ job_id: job.job_id, lost_reason: "worker_killed" });
    expectFailure(
      await m2!.run(["start", "--run-key", "k", "--", "true"]),
      4,
      /processes of it still live on host/,
    );
    gate.open();
    const next = await until("the key is free", async () => {
      const answer = await m2!.run(["start", "--sync", "--run-key", "k", "--", "true"]);
      return answer.code === 0 && (JSON.parse(answer.stdout) as FleetAnswer);
    });
    expect(next).toMatchObject({ existing: false, status: "SUCCEEDED" });
  },
);

testWith(
  WITH_SERVER,
  "agent and worker killed at once: the key is free when that host starts something again",
  async () => {
    await using fleet = await Fleet.create(await server());
    const [m1, m2] = await fleet.members(2);
    await using gate = new Gate(fleet);
    const job = await startWaiting(m1!, "k", gate);
    await m1!.untilPublished();
    const agent = await m1!.agent();
    process.kill(agent, "SIGSTOP");
    await killWorker(job);
    await killAndWait(agent);
    gate.open();
    await until("the command has ended", () => !isAlive(job.target_pid!));
    // Another member cannot know that: the host could be cut off.
    expect((await m2!.json(["status", "--run-key", "k"])).status).toBe("RUNNING");
    await m1!.json(["start", "--sync", "--run-key", "another", "--", "true"]);
    const lost = await finishedJob(m2!, "k");
    expect(lost).toMatchObject({ status: "LOST", lost_reason: "worker_killed", job_id: job.job_id });
  },
);
