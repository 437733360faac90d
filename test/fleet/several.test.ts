/** wait and cancel of several jobs that are on several members. */
import { expect, setDefaultTimeout } from "bun:test";
import { Fleet, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { hasOpen } from "../support/processes.ts";
import { BINARY, type JobAnswer, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

testWith(WITH_SERVER, "wait for several waits for jobs of other members as well", async () => {
  await using fleet = await Fleet.create(await server());
  const [m1, m2] = await fleet.members(2);
  await using near = new Gate(fleet, "near");
  await using far = new Gate(fleet, "far");
  await startWaiting(m1!, "far", far, "exit 3");
  const here = await startWaiting(m2!, "near", near);
  const words = ["wait", "far", "near", "--exit-status"];
  const [all, any] = [m2!.spawn([BINARY, ...words]), m2!.spawn([BINARY, ...words, "--any"])];
  for (const { pid } of [all, any])
    await until("it watches the near job", () => hasOpen(pid, `${m2!.home}/locks/${here.job_id}`));
  near.open();
  const first = await m2!.finished(any);
  expect(first.code).toBe(0);
  expect(JSON.parse(first.stdout)).toMatchObject([
    { run_key: "far", status: "RUNNING", member: "m1" },
    { run_key: "near", status: "SUCCEEDED", member: null },
  ]);
  expect(all.exitCode).toBeNull();
  far.open();
  const { code, stdout } = await m2!.finished(all);
  expect(code).toBe(3);
  expect(JSON.parse(stdout)).toMatchObject([{ status: "FAILED" }, { status: "SUCCEEDED" }]);
});

testWith(
  WITH_SERVER,
  "cancel of several ends jobs of other members as well; a label means those here",
  async () => {
    await using fleet = await Fleet.create(await server());
    const [m1, m2] = await fleet.members(2);
    const start = ["start", "--label", "batch=n1", "-k"];
    for (const key of ["a", "c"]) await m1!.json([...start, key, "--", "sleep", "600"]);
    await m2!.json([...start, "b", "--", "sleep", "600"]);
    const labelled = await m2!.json<JobAnswer[]>(["cancel", "--label", "batch=n1", "--dry-run"]);
    expect(labelled.map(({ run_key: key }) => key)).toEqual(["b"]);
    const answer = await m2!.json<JobAnswer[]>(["cancel", "a", "b", "--reason", "wrong day"]);
    expect(answer).toMatchObject([
      { run_key: "a", status: "CANCELLED", cancel_reason: "wrong day" },
      { run_key: "b", status: "CANCELLED", cancel_reason: "wrong day" },
    ]);
    expect(await m1!.json(["status", "a"])).toMatchObject({ status: "CANCELLED" });
    expect(await m1!.json<JobAnswer[]>(["cancel", "--label", "batch=n1"])).toMatchObject([{ run_key: "c" }]);
  },
);
