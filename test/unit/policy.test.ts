import { expect, test } from "bun:test";
import { answerFor, DEFAULT_POLICY } from "../../src/job/policy.ts";
import { STATUSES } from "../../src/job/status.ts";

test("without a policy every finished job lets a new one start", () => {
  for (const status of STATUSES) expect(answerFor(status, DEFAULT_POLICY)).toBe("rerun");
});

test("strict returns every finished job, whatever else is set", () => {
  for (const status of STATUSES)
    expect(answerFor(status, { ...DEFAULT_POLICY, strict: true })).toBe("return");
});

test("each policy is about its own outcome, and the one about failures covers cancelled jobs", () => {
  const answered = (policy: Partial<typeof DEFAULT_POLICY>) =>
    (["SUCCEEDED", "FAILED", "CANCELLED", "LOST"] as const).filter(
      (status) => answerFor(status, { ...DEFAULT_POLICY, ...policy }) === "return",
    );
  expect(answered({ ifSucceeded: "return" })).toEqual(["SUCCEEDED"]);
  expect(answered({ ifFailed: "return" })).toEqual(["FAILED", "CANCELLED"]);
  expect(answered({ ifLost: "return" })).toEqual(["LOST"]);
});
