/** Promise 1: for a run key at most one job is active in the whole fleet. */
import { expect, setDefaultTimeout } from "bun:test";
import { Fleet, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { Gate } from "../support/gate.ts";
import { finishedJob } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

const ROUNDS = 4;
const CALLERS = 5;

testWith(
  WITH_SERVER,
  "a key that three members start at once is executed once, with growing tokens",
  async () => {
    await using fleet = await Fleet.create(await server());
    const members = await fleet.members(3);
    const tokens: number[] = [];
    for (let round = 1; round <= ROUNDS; round++) {
      const callers = members.flatMap((member) =>
        Array.from({ length: CALLERS }, () =>
          member.answer([
            "start",
            "--sync",
            "--run-key",
            "k",
            "--request-id",
            `round ${round}`,
            "--",
            ...witness(":"),
          ]),
        ),
      );
      const answers = await Promise.all(callers);
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
      const words = ["start", "--run-key", "k", "--", ...witness(gate.wait)];
      const callers = members.flatMap((member) =>
        Array.from({ length: CALLERS }, () => member.answer(words)),
      );
      const answers = await Promise.all(callers);
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
