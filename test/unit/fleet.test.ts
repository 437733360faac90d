/** Jobs on their way through the registry, tokens, and the times at which a lease ends a job. */
import { expect, test } from "bun:test";
import { fromDocument, toDocument } from "../../src/job/document.ts";
import { leastToken } from "../../src/job/fleet.ts";
import { acceptedJob } from "../../src/job/job.ts";
import { partitionTerms } from "../../src/fleet/lease.ts";

const ELSEWHERE = {
  ...{ member: "m", memberId: "id", host: "h", home: "/x", asOf: 1, holdsKey: true, silentMs: 0 },
};

const JOB = acceptedJob(
  {
    ...{ jobId: "j", runKey: "k", attemptNo: 2, command: ["a", "b c"], cwd: "/", env: ["A=b"], timeoutMs: 5 },
    ...{
      labels: new Map([
        ["__proto__", "x"],
        ["team", "billing"],
      ]),
      requestId: "r",
      rerunOfJobId: null,
    },
    ...{
      rerunReason: null,
      scope: "auto",
      properties: [],
      onExit: null,
      onFailure: null,
      limits: {},
      output: "file",
      stdin: null,
    },
    ...{ token: "secret", onPartition: "stop", retry: null },
    origin: { host: "h", bootId: "b", pidNamespace: "1" },
    worker: { pid: 1, startTicks: 2 },
  },
  1_700_000_000_000_000,
  42,
);

test("a job comes through the registry as it was, without the secret of its host", () => {
  const text = JSON.stringify(toDocument(JOB));
  expect(text).not.toContain("secret");
  expect(fromDocument(JSON.parse(text), ELSEWHERE)).toEqual({ ...JOB, token: null, elsewhere: ELSEWHERE });
});

test("what a newer member adds, or an older one lacks, does no harm", () => {
  const job = fromDocument({ jobId: "j", runKey: "k", status: "RUNNING", novelty: 1 }, ELSEWHERE);
  expect(job).toMatchObject({ jobId: "j", status: "RUNNING", command: [], exitCode: null });
});

test("tokens grow with time, and fit into a number", () => {
  const year = 365 * 24 * 3_600 * 1_000_000;
  expect(leastToken(60_000_000)).toBe(2 ** 24);
  expect(leastToken(1_800_000_000_000_001)).toBeGreaterThanOrEqual(leastToken(1_800_000_000_000_000));
  expect(Number.isSafeInteger(leastToken(200 * year))).toBe(true);
});

test.each([1_000, 3_000, 60_000, 3_600_000])(
  "with a lease of %i ms a job has ended before it is over",
  (leaseMs) => {
    const { graceMs, leadMs, tickMs } = partitionTerms(leaseMs);
    // TERM comes at most a tick late, and KILL after the grace period.
    expect(tickMs + graceMs).toBeLessThan(leadMs);
    // Two renewals may fail before.
    expect(leaseMs - leadMs).toBeGreaterThanOrEqual((leaseMs * 2) / 3 - 1);
  },
);
