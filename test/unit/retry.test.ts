/** Which attempt follows when: the rules of `--retries`. */
import { expect, test } from "bun:test";
import type { Job, Outcome, Retry } from "../../src/job/job.ts";
import type { JobStatus } from "../../src/job/status.ts";
import { firstAttempt, isToBeRetried, nextDelayMs, retriesLeft } from "../../src/job/retry.ts";

const ORDER = { retries: 3, delayMs: 1_000, backoff: 1, maxDelayMs: null, on: null };

const FAILED: Outcome = { exitCode: 3, signal: null, error: null, failure: null, usage: null };

function retried(fields: Partial<Retry>, outcome: Partial<Outcome> = {}): boolean {
  const retry = { ...firstAttempt(ORDER), ...fields };
  return isToBeRetried({ retry } as Job, { ...FAILED, ...outcome });
}

test("an attempt may be followed by as many as are left", () => {
  const left = (status: JobStatus, fields: Partial<Retry>) =>
    retriesLeft({ status, retry: { ...firstAttempt(ORDER), ...fields } });
  expect([0, 1, 2, 3, 4].map((number) => left("RUNNING", { number }))).toEqual([3, 2, 1, 0, 0]);
  expect(left("FAILED", { nextJobId: "next" })).toBe(3);
  for (const status of ["SUCCEEDED", "FAILED", "LOST", "CANCELLED"] as const)
    expect(left(status, {})).toBe(0);
  expect(retriesLeft({ status: "RUNNING", retry: null })).toBe(0);
  expect([retried({ number: 2 }), retried({ number: 3 })]).toEqual([true, false]);
});

test("by default every failure is tried again, except a command that cannot be executed, and a partition", () => {
  expect(retried({})).toBe(true);
  for (const failure of ["timed_out", "out_of_memory", "not_launched"] as const)
    expect(retried({}, { failure })).toBe(true);
  for (const failure of ["not_found", "not_executable", "partitioned"] as const)
    expect(retried({}, { failure, exitCode: -1 })).toBe(false);
});

test("listed codes are those that run passes on", () => {
  const on = (...words: string[]) => ({ on: words });
  expect([retried(on("3")), retried(on("4"))]).toEqual([true, false]);
  const killed = { exitCode: -9, signal: "SIGKILL" };
  expect([retried(on("137"), killed), retried(on("9"), killed)]).toEqual([true, false]);
  const timedOut = { ...killed, failure: "timed_out" } as const;
  expect(["timeout", "124", "137"].map((word) => retried(on(word), timedOut))).toEqual([true, true, false]);
  const launch = [
    ["not_found", "127"],
    ["not_executable", "126"],
    ["not_launched", "125"],
  ] as const;
  for (const [failure, code] of launch) expect(retried(on(code), { failure, exitCode: -1 })).toBe(true);
  expect(retried(on("125"), { failure: "partitioned" })).toBe(false);
});

test("pauses grow by the factor, up to the longest", () => {
  const pauses = (fields: Partial<Retry>) =>
    [0, 1, 2, 60, 1_000].map((number) => nextDelayMs({ ...firstAttempt(ORDER), ...fields, number }));
  expect(pauses({})).toEqual([1_000, 1_000, 1_000, 1_000, 1_000]);
  expect(pauses({ backoff: 1.5 }).slice(0, 3)).toEqual([1_000, 1_500, 2_250]);
  expect(pauses({ backoff: 100 }).slice(3)).toEqual([86_400_000, 86_400_000]);
  expect(pauses({ backoff: 2, maxDelayMs: 1_500 })).toEqual([1_000, 1_500, 1_500, 1_500, 1_500]);
  expect(pauses({ delayMs: 172_800_000, backoff: 2 })).toEqual(Array(5).fill(172_800_000));
  expect(pauses({ delayMs: 0, backoff: 100 })).toEqual([0, 0, 0, 0, 0]);
});
