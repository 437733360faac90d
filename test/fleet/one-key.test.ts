/** Promise 1: for a run key at most one job is active in the whole fleet. */
import { expect, setDefaultTimeout } from "bun:test";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Fleet, type FleetAnswer, type Member, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { Gate } from "../support/gate.ts";
import { finishedJob } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { BINARY, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

const ROUNDS = 4;
/** On each member. */
const CALLERS = 5;

/** All members call at the same moment: shells that are ready wait at a gate. */
async function race(
  fleet: Fleet,
  members: readonly Member[],
  words: readonly string[],
): Promise<FleetAnswer[]> {
  const ready = join(fleet.directory, "ready");
  rmSync(ready, { force: true });
  await using gate = new Gate(fleet, `race${crypto.randomUUID()}`);
  const script = `echo ready >>"${ready}"; ${gate.wait}; exec "$@"`;
  const calls = Array.from({ length: CALLERS }, () => members)
    .flat()
    .map((member) => member.execute(["sh", "-c", script, "sh", BINARY, ...words]));
  const isReady = () => existsSync(ready) && readFileSync(ready, "utf8").split("\n").length > calls.length;
  await until("all callers are ready", isReady);
  gate.open();
  return (await Promise.all(calls)).map(({ code, stdout, stderr }) => {
    expect({ code, stderr }).toMatchObject({ code: 0 });
    return JSON.parse(stdout) as FleetAnswer;
  });
}

testWith(
  WITH_SERVER,
  "a key that three members start at once is executed once, with growing tokens",
  async () => {
    await using fleet = await Fleet.create(await server());
    const members = await fleet.members(3);
    const tokens: number[] = [];
    for (let round = 1; round <= ROUNDS; round++) {
      const once = ["--request-id", `round ${round}`];
      const words = ["start", "--sync", "--run-key", "k", ...once, "--", ...witness(":")];
      const answers = await race(fleet, members, words);
      expect(new Set(answers.map((each) => each.job_id)).size).toBe(1);
      expect(answers.filter((each) => !each.existing)).toHaveLength(1);
      expect(answers.map((each) => each.status)).toEqual(answers.map(() => "SUCCEEDED"));
      expect(answers[0]!.attempt_no).toBe(round);
      tokens.push(answers[0]!.fencing_token);
    }
    const { started, overlapping } = readExecutions(fleet, "k");
    expect(overlapping).toEqual([]);
    expect(started).toHaveLength(ROUNDS);
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
    for (const member of members) await member.untilPublished();
    expect((await fleet.registered("k")).map((job) => job.status)).toEqual(tokens.map(() => "SUCCEEDED"));
  },
);

testWith(
  WITH_SERVER,
  "while a key runs on one of three members, no caller on any of them starts it again",
  async () => {
    await using fleet = await Fleet.create(await server());
    const members = await fleet.members(3);
    for (let round = 1; round <= ROUNDS; round++) {
      await using gate = new Gate(fleet, `gate${round}`);
      const answers = await race(fleet, members, ["start", "--run-key", "k", "--", ...witness(gate.wait)]);
      expect(new Set(answers.map((each) => each.job_id)).size).toBe(1);
      expect(answers.filter((each) => !each.existing)).toHaveLength(1);
      gate.open();
      for (const member of members) await finishedJob(member, "k");
      await until("the key is free", async () =>
        (await fleet.registered("k")).every((job) => !job.holds_key),
      );
    }
    const { started, overlapping } = readExecutions(fleet, "k");
    expect(overlapping).toEqual([]);
    expect(started).toHaveLength(ROUNDS);
  },
);
