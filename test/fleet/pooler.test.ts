/** A fleet behind PgBouncer in transaction mode: everything works, but the agents cannot be notified, and ask every few seconds. */
import { expect, setDefaultTimeout } from "bun:test";
import { Fleet, type Member, serverOfFile } from "../support/fleet.ts";
import { testWith } from "../support/needs.ts";
import { startPooler } from "../support/pooler.ts";
import { TIMEOUT_MS } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

testWith(["postgresql", "pgbouncer"], "a fleet works behind PgBouncer in transaction mode", async () => {
  const running = await server();
  await using fleet = await Fleet.create(running);
  await using pooler = await startPooler(running);
  fleet.url = running.url(fleet.database, pooler.directory);
  const [first, second] = (await fleet.members(2)) as [Member, Member];
  const callers = [first, second, first, second].map((member) =>
    member.answer(["start", "--sync", "--run-key", "k", "--request-id", "r", "--", ...witness(":")]),
  );
  const answers = await Promise.all(callers);
  expect(new Set(answers.map((answer) => answer.job_id)).size).toBe(1);
  expect(readExecutions(fleet, "k")).toMatchObject({ started: [answers[0]!.job_id], overlapping: [] });
  await first.answer(["start", "--run-key", "long", "--", "sleep", "1000"]);
  // Without a notification: the agent of the first asks every 3 s.
  expect(await second.answer(["cancel", "--run-key", "long"])).toMatchObject({
    status: "CANCELLED",
    member: "m1",
  });
});
