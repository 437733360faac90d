import { describe, expect, test } from "bun:test";
import { ACTIVE, EVENTS, isActive, STATUSES } from "../../src/job/status.ts";

describe("the state machine", () => {
  test("no event leaves a terminal status", () => {
    const left = Object.values(EVENTS).flatMap((event) => [...event.from]);
    expect(left.filter((status) => !isActive(status))).toEqual([]);
  });

  test("every event but the claim ends the job", () => {
    for (const [name, { to }] of Object.entries(EVENTS))
      expect([name, isActive(to)]).toEqual([name, name === "run"]);
  });

  test("only a running job can succeed", () => {
    expect(EVENTS.succeed.from).toEqual(["RUNNING"]);
  });

  test("every status can be reached, except the one that a job begins with", () => {
    const reached = new Set<string>(Object.values(EVENTS).map(({ to }) => to));
    expect(STATUSES.filter((status) => !reached.has(status))).toEqual(["STARTING"]);
  });

  test("both ways to ask agree on which jobs are active", () => {
    expect(STATUSES.filter(isActive)).toEqual([...ACTIVE]);
  });
});
