/** `wait --orphans` for a job of another member: its key is free when its member says so. */
import { expect, setDefaultTimeout } from "bun:test";
import { expectFailure } from "../support/expect.ts";
import { Fleet, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { jobThat } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { killWorker } from "../support/processes.ts";
import { BINARY, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

testWith(WITH_SERVER, "wait --orphans waits for the processes of a job on another host", async () => {
  await using fleet = await Fleet.create(await server());
  const [m1, m2] = await fleet.members(2);
  await using gate = new Gate(fleet);
  const job = await startWaiting(m1!, "k", gate, "exit 7");
  const one = m2!.spawn([BINARY, "wait", "k", "--orphans"]);
  const several = m2!.spawn([BINARY, "wait", "k", "--job-id", job.job_id, "--orphans", "--exit-status"]);
  const left = m2!.spawn([BINARY, "wait", "k", "--orphans"]);
  // The agent, and those that wait for one job.
  await fleet.listeners(3);
  const early = await m2!.run(["wait", "k", "--orphans", "--timeout", "0.1"]);
  expect(early).toMatchObject({
    code: 1,
    stderr: `orchesjob: job ${job.job_id} is still RUNNING; it goes on\n`,
  });
  await killWorker(job);
  await jobThat(m2!, "k", "is lost", ({ status }) => status === "LOST");
  const held = new RegExp(
    `job ${job.job_id} of member "m1" has ended \\(LOST\\), but processes of it still live on host .*; its run key stays blocked: end them there: ssh`,
  );
  for (const [words, code] of [
    [["k"], 1],
    [["k", "--exit-status"], 124],
    [["k", "--job-id", job.job_id], 1],
  ] as const) {
    const late = await m2!.run(["wait", ...words, "--orphans", "--timeout", "0.1"]);
    expect(late.code).toBe(code);
    expect(late.stderr).toMatch(held);
    expect(JSON.parse(late.stdout)).toMatchObject(
      words.length > 2 ? [{ status: "LOST" }] : { status: "LOST" },
    );
  }
  // Without --orphans, the end of the job is enough.
  expect(await m2!.run(["wait", "k"])).toMatchObject({ code: 0, stderr: expect.stringMatching(held) });
  expectFailure(
    await m2!.run(["start", "--run-key", "k", "--", "true"]),
    4,
    /cannot start "k": job .* still live/,
  );
  left.kill("SIGTERM");
  expect((await m2!.finished(left)).code).toBe(143);
  expect([one.exitCode, several.exitCode]).toEqual([null, null]);
  gate.open();
  const [first, second] = await Promise.all([m2!.finished(one), m2!.finished(several)]);
  expect(first).toMatchObject({ code: 0, stderr: "" });
  expect(JSON.parse(first.stdout)).toMatchObject({ status: "LOST", orphan_exit_code: 7 });
  expect(second).toMatchObject({ code: 125, stderr: "" });
  expect(JSON.parse(second.stdout)).toMatchObject([{ job_id: job.job_id, orphan_exit_code: 7 }]);
  const next = await m2!.json(["start", "--sync", "--run-key", "k", "--", "true"]);
  expect(next).toMatchObject({ existing: false, attempt_no: 2 });
});
