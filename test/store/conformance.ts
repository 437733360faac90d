/**
 * What every JobStore must do, however it is implemented. A store's own test file calls `testStore` once; each test
 * gets its own place, and opens it as often as several processes would.
 */
import { leastToken } from "../../src/job/fleet.ts";
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Instant, Job, NewJob, Outcome, ProcessIdentity } from "../../src/job/job.ts";
import { EVENTS, type JobEvent, type JobStatus, STATUSES } from "../../src/job/status.ts";
import type { CleanCandidate, FinishedFilter, JobStore } from "../../src/store/store.ts";

/** Opens the store in a directory, or makes it if it is new. */
export type OpenStore = (place: string) => JobStore;

/** An instant, so many microseconds after a fixed day. */
const at = (micros: number): Instant => 1_800_000_000_000_000 + micros;

const ORIGIN = { host: "host", bootId: "boot", pidNamespace: "4026531836" };
/** The worker as its launcher saw it, and as it sees itself. */
const LAUNCHED = { pid: 90, startTicks: 900 };
const WORKER = { pid: 100, startTicks: 1000 };
const TARGET = { pid: 200, startTicks: 2000 };
const PLACE = { origin: ORIGIN, unit: null };
/** What a command has used; the kernel did not count its bytes read. */
const USAGE = { cpuSeconds: 1.000001, maxRssBytes: 2 ** 33, ioReadBytes: null, ioWriteBytes: 0 };

const SUCCESS: Outcome = { exitCode: 0, signal: null, error: null, failure: null, usage: USAGE };
const SIGNALLED: Outcome = { exitCode: -15, signal: "SIGTERM", error: null, failure: null, usage: null };
const FAILURE: Outcome = { exitCode: 3, signal: null, error: null, failure: null, usage: null };

/** The events that the store's methods stand for; job/status.ts guards them. */
const VERBS = {
  run: (store, jobId) => store.run(jobId, WORKER, PLACE, at(50)),
  succeed: (store, jobId) => finish(store, jobId, SUCCESS, TARGET, at(60)),
  fail: (store, jobId) => finish(store, jobId, FAILURE, TARGET, at(60)),
  cancel: (store, jobId) => store.finish(jobId, "cancel", SIGNALLED, TARGET, at(60)),
  lose: (store, jobId) => store.lose(jobId, "unknown", at(70)),
} satisfies Partial<Record<JobEvent, (store: JobStore, jobId: string) => Promise<Job | undefined>>>;

type Verb = keyof typeof VERBS;

/** Events that lead a new job to a status. */
const PATHS: Partial<Record<JobStatus, readonly Verb[]>> = {
  STARTING: [],
  RUNNING: ["run"],
  SUCCEEDED: ["run", "succeed"],
  FAILED: ["run", "fail"],
  LOST: ["lose"],
  CANCELLED: ["run", "cancel"],
};

/** Claims a job as most callers do. */
function claim(
  store: JobStore,
  job: NewJob,
  expected: string | undefined,
  when: Instant,
): Promise<Job | undefined> {
  return store.claim(job, { expected, strict: false, useOverride: false }, when);
}

/** Finishes a job with the event that its outcome stands for. */
function finish(
  store: JobStore,
  jobId: string,
  outcome: Outcome,
  target: ProcessIdentity | null,
  when: Instant,
): Promise<Job | undefined> {
  return store.finish(jobId, outcome.exitCode === 0 ? "succeed" : "fail", outcome, target, when);
}

let jobs = 0;

function newJob(fields: Partial<NewJob> = {}): NewJob {
  jobs += 1;
  return {
    jobId: `job-${String(jobs).padStart(6, "0")}`,
    runKey: "k",
    attemptNo: 1,
    command: ["true"],
    cwd: "/work",
    env: [],
    labels: new Map(),
    timeoutMs: null,
    requestId: null,
    rerunOfJobId: null,
    rerunReason: null,
    scope: "auto",
    properties: [],
    output: "file",
    stdin: null,
    onExit: null,
    onFailure: null,
    limits: {},
    origin: ORIGIN,
    worker: LAUNCHED,
    token: "a secret",
    onPartition: null,
    retry: null,
    ...fields,
  };
}

/** Claims a job of its own key and leads it to a status. */
async function jobIn(store: JobStore, status: JobStatus): Promise<Job> {
  const job = newJob();
  const claimed = await claim(store, { ...job, runKey: job.jobId }, undefined, at(10));
  for (const verb of PATHS[status]!) await VERBS[verb](store, job.jobId);
  const result = await store.find(claimed!.jobId);
  expect(result!.status).toBe(status);
  return result!;
}

const HOOK = { command: "./notify.sh", timeoutMs: 1_000 };

async function finishedWithHook(store: JobStore): Promise<Job> {
  const job = newJob({ onExit: HOOK });
  await claim(store, { ...job, runKey: job.jobId }, undefined, at(10));
  await VERBS.run(store, job.jobId);
  return (await VERBS.fail(store, job.jobId))!;
}

export function testStore(name: string, openStore: OpenStore): void {
  /** Defines a test of a store in a new place; `open` opens the place once more. */
  const testWith = (title: string, body: (store: JobStore, open: () => JobStore) => Promise<void>) =>
    test(title, async () => {
      const place = mkdtempSync(join(tmpdir(), "orchesjob-store-"));
      const opened: JobStore[] = [];
      const open = () => {
        const store = openStore(place);
        opened.push(store);
        return store;
      };
      try {
        await body(open(), open);
      } finally {
        for (const store of opened) store.close();
        rmSync(place, { recursive: true });
      }
    });

  describe(`${name}: hooks`, () => {
    testWith("a hook's end is recorded once, and nothing else of the job changes", async (store, open) => {
      const job = await finishedWithHook(store);
      expect(job.onExit).toEqual({ ...HOOK, result: null });
      const result = { exitCode: 3, error: "exit code 3: no", finishedAt: at(80) };
      await store.recordHook(job.jobId, "exit", result);
      await open().recordHook(job.jobId, "exit", { exitCode: 0, error: null, finishedAt: at(90) });
      expect(await store.find(job.jobId)).toEqual({ ...job, onExit: { ...HOOK, result } });
    });

    testWith("the hook for failures is recorded apart from the other", async (store) => {
      const job = newJob({ onExit: HOOK, onFailure: HOOK });
      await claim(store, job, undefined, at(10));
      await VERBS.run(store, job.jobId);
      const failed = (await VERBS.fail(store, job.jobId))!;
      const result = { exitCode: 7, error: "exit code 7", finishedAt: at(80) };
      await store.recordHook(job.jobId, "failure", result);
      expect(await store.find(job.jobId)).toEqual({ ...failed, onFailure: { ...HOOK, result } });
      expect(await store.finishedBefore(at(100), 10)).toMatchObject([{ hook: "due" }]);
      expect(await store.remove([job.jobId])).toBe(0);
      await store.recordHook(job.jobId, "exit", result);
      expect(await store.finishedBefore(at(100), 10)).toMatchObject([{ hook: "over" }]);
      expect(await store.remove([job.jobId])).toBe(1);
    });

    testWith("the hook for failures of a job that succeeded is over", async (store) => {
      const job = newJob({ onFailure: HOOK });
      await claim(store, job, undefined, at(10));
      await VERBS.run(store, job.jobId);
      await VERBS.succeed(store, job.jobId);
      expect(await store.finishedBefore(at(100), 10)).toMatchObject([{ hook: "over" }]);
      expect(await store.remove([job.jobId])).toBe(1);
    });

    testWith("an active job's hook cannot end", async (store) => {
      const job = newJob({ onExit: HOOK });
      await claim(store, job, undefined, at(1));
      await store.recordHook(job.jobId, "exit", { exitCode: 0, error: null, finishedAt: at(2) });
      expect((await store.find(job.jobId))!.onExit!.result).toBeNull();
    });
  });

  describe(`${name}: claim`, () => {
    testWith("makes a job that is STARTING, with everything that was given", async (store, open) => {
      const job = newJob({
        runKey: "ключ 🎉",
        attemptNo: 7,
        command: ["", "a b", "\n", "*", "'\"\\", "🎉", "\u0001", "x".repeat(100_000)],
        cwd: "/a dir/'quoted'",
        scope: "always",
        output: "pipe",
        stdin: "/input",
        properties: ["MemoryMax=64M", 'Description=a "b"'],
        onExit: { command: "mail -s 'Ünfall' \"$USER\"\n", timeoutMs: 1_234 },
        onFailure: { command: "page", timeoutMs: 4_321 },
        limits: { stallAfterMs: 5_000, onStall: "page", graceMs: 0, maxLogBytes: 5_000, nice: -5 },
      });
      const claimed = await claim(store, job, undefined, 1_700_000_000_123_456);
      expect(claimed).toEqual({
        ...job,
        onExit: { ...job.onExit!, result: null },
        onFailure: { ...job.onFailure!, result: null },
        stalledSince: null,
        logLimitAt: null,
        logDroppedBytes: null,
        status: "STARTING",
        startedAt: 1_700_000_000_123_456,
        finishedAt: null,
        exitCode: null,
        signal: null,
        error: null,
        unit: null,
        failure: null,
        usage: null,
        lostReason: null,
        cancelRequest: null,
        cancelReason: null,
        target: null,
        leftBehind: null,
        orphanEnd: null,
        fencingToken: leastToken(1_700_000_000_123_456),
      });
      for (const reader of [store, open()]) expect(await reader.find(job.jobId)).toEqual(claimed!);
    });

    testWith("is refused if the request id already has a job, until that job is removed", async (store) => {
      const first = newJob({ requestId: "r" });
      await claim(store, first, undefined, at(1));
      await VERBS.run(store, first.jobId);
      await VERBS.succeed(store, first.jobId);
      const again = newJob({ requestId: "r", attemptNo: 2 });
      expect(await claim(store, again, first.jobId, at(2))).toBeUndefined();
      expect(await store.findRequest("k", "r")).toMatchObject({ job: { jobId: first.jobId }, command: null });
      expect(await claim(store, { ...again, requestId: "s" }, first.jobId, at(3))).toMatchObject({
        requestId: "s",
      });
      await store.remove([first.jobId]);
      expect(await store.findRequest("k", "r")).toBeUndefined();
    });

    testWith("is refused while a job of the key is active, whatever is expected", async (store) => {
      const first = newJob();
      await claim(store, first, undefined, at(1));
      for (const verb of ["run", "succeed"] as const) {
        for (const expected of [undefined, first.jobId, "another"])
          expect(await claim(store, newJob({ attemptNo: 2 }), expected, at(2))).toBeUndefined();
        await VERBS[verb](store, first.jobId);
      }
      expect(await store.history("k")).toHaveLength(1);
      expect(await claim(store, newJob({ attemptNo: 2 }), first.jobId, at(3))).toMatchObject({
        attemptNo: 2,
      });
    });

    testWith("is refused if the newest job is not the expected one", async (store) => {
      expect(await claim(store, newJob(), "nobody", at(1))).toBeUndefined();
      const first = newJob();
      await claim(store, first, undefined, at(1));
      await store.lose(first.jobId, "unknown", at(2));
      const second = newJob({ attemptNo: 2 });
      expect(await claim(store, second, undefined, at(3))).toBeUndefined();
      expect(await claim(store, second, first.jobId, at(3))).toBeDefined();
      await store.lose(second.jobId, "unknown", at(4));
      expect(await claim(store, newJob({ attemptNo: 3 }), first.jobId, at(5))).toBeUndefined();
      expect((await store.history("k")).map((job) => job.jobId)).toEqual([second.jobId, first.jobId]);
    });

    testWith("is won by one of many at once", async (_, open) => {
      const rivals = Array.from({ length: 8 }, open);
      const claims = await Promise.all(rivals.map((rival) => claim(rival, newJob(), undefined, at(1))));
      expect(claims.filter((job) => job !== undefined)).toHaveLength(1);
    });

    testWith("is independent of other keys, also if they differ only by case or a blank", async (store) => {
      for (const runKey of ["k", "K", "k ", " k", "é", "e\u0301", "%", "_"])
        expect(await claim(store, newJob({ runKey }), undefined, at(1))).toMatchObject({ runKey });
      expect(await store.history("k")).toHaveLength(1);
    });
  });

  describe(`${name}: retries`, () => {
    const ORDER = { retries: 2, delayMs: 5, backoff: 1.5, maxDelayMs: null, on: ["75", "timeout"] };
    const first = (fields: Partial<NewJob> = {}) =>
      newJob({
        requestId: "r",
        onExit: HOOK,
        retry: { ...ORDER, number: 0, ofJobId: null, at: null, nextJobId: null },
        ...fields,
      });
    const after = (job: NewJob) =>
      newJob({
        ...job,
        jobId: `${job.jobId}-2`,
        attemptNo: 2,
        retry: { ...ORDER, number: 1, ofJobId: job.jobId, at: at(99), nextJobId: null },
      });
    const retry = (store: JobStore, job: NewJob, next: NewJob) =>
      store.retry(job.jobId, FAILURE, TARGET, at(60), [], next, at(61));

    testWith(
      "the failure and the next attempt are one step, and what belongs to the run moves on",
      async (store, open) => {
        const job = first();
        await store.claim(job, { expected: undefined, strict: true, useOverride: false }, at(1));
        await store.bindRequest("k", "other", job.jobId, ["x"]);
        await VERBS.run(store, job.jobId);
        const next = await retry(store, job, after(job));
        expect(next).toMatchObject({ status: "STARTING", attemptNo: 2, startedAt: at(61), requestId: "r" });
        expect(next!.onExit).toEqual({ ...HOOK, result: null });
        expect(next!.retry).toEqual({ ...ORDER, number: 1, ofJobId: job.jobId, at: at(99), nextJobId: null });
        const other = open();
        expect(await other.find(job.jobId)).toMatchObject({
          ...{ status: "FAILED", exitCode: 3, target: TARGET, finishedAt: at(60), leftBehind: [] },
          ...{ retry: { ...job.retry!, nextJobId: next!.jobId }, onExit: null },
        });
        for (const id of ["r", "other"])
          expect((await other.findRequest("k", id))!.job.jobId).toBe(next!.jobId);
        expect((await other.strictness("k", at(62))).strictJobId).toBe(next!.jobId);
        expect(next!.fencingToken!).toBeGreaterThan((await store.find(job.jobId))!.fencingToken!);
      },
    );

    testWith("the time at which a retry begins is the time of its start", async (store) => {
      const job = first();
      await claim(store, job, undefined, at(1));
      await VERBS.run(store, job.jobId);
      const next = await retry(store, job, after(job));
      expect(await store.run(next!.jobId, WORKER, PLACE, at(200))).toMatchObject({ startedAt: at(200) });
    });

    testWith("a retry that does not begin keeps the time at which it was accepted", async (store) => {
      const job = first();
      await claim(store, job, undefined, at(1));
      await VERBS.run(store, job.jobId);
      const next = await retry(store, job, after(job));
      const { startedAt } = next!;
      expect(await store.run(next!.jobId, WORKER, PLACE, at(200), null)).toMatchObject({ startedAt });
    });

    testWith("nor does one that is to be cancelled", async (store) => {
      const job = first();
      await claim(store, job, undefined, at(1));
      await VERBS.run(store, job.jobId);
      const next = await retry(store, job, after(job));
      const { startedAt } = next!;
      await store.requestCancel(next!.jobId, { at: at(190), reason: null, graceMs: 0, pid: 0 });
      expect(await store.run(next!.jobId, WORKER, PLACE, at(200))).toMatchObject({ startedAt });
    });

    testWith("a job that is not active, or is to be cancelled, is not tried again", async (store) => {
      for (const verb of ["succeed", "fail", "cancel", "lose"] as const) {
        const job = first({ runKey: verb, requestId: null });
        await claim(store, job, undefined, at(1));
        await VERBS.run(store, job.jobId);
        await VERBS[verb](store, job.jobId);
        expect(await retry(store, job, after(job))).toBeUndefined();
      }
      const job = first();
      await claim(store, job, undefined, at(1));
      await VERBS.run(store, job.jobId);
      await store.requestCancel(job.jobId, { at: at(2), reason: null, graceMs: 0, pid: 0 });
      expect(await retry(store, job, after(job))).toBeUndefined();
      expect(await store.find(job.jobId)).toMatchObject({
        status: "RUNNING",
        onExit: { command: HOOK.command },
      });
      expect(await store.active()).toHaveLength(1);
    });

    testWith(
      "in a fleet the next attempt is published with the failure, and gets its token then",
      async (store) => {
        const publications = await store.publications();
        await publications.track("member");
        const job = first({ onPartition: "stop" });
        const terms = { expected: undefined, strict: false, useOverride: false, fencingToken: 7 };
        await store.claim(job, terms, at(1));
        await VERBS.run(store, job.jobId);
        const next = await retry(store, job, after(job));
        expect(next).toMatchObject({ status: "STARTING", fencingToken: null, onPartition: "stop" });
        // Not by itself: the registry must not hear of two active jobs, or of none.
        const pending = await publications.next(9);
        expect(pending.map((each) => [each.job.jobId, each.successor?.job.jobId])).toEqual([
          [job.jobId, next!.jobId],
        ]);
        await publications.markPublished(pending.map((each) => ({ ...each, grantedToken: 8 })));
        expect(await store.find(next!.jobId)).toMatchObject({ fencingToken: 8 });
        // Its token is news.
        const [news, ...more] = await publications.next(9);
        expect([news!.job.jobId, news!.successor, more]).toEqual([next!.jobId, null, []]);
        await publications.repeat(job.jobId);
        expect((await publications.pending(job.jobId))!.successor).toBeNull();
      },
    );

    testWith("a directory that has joined a fleet during a run accepts no next attempt", async (store) => {
      const job = first();
      await claim(store, job, undefined, at(1));
      await VERBS.run(store, job.jobId);
      await (await store.publications()).track("member");
      expect(await retry(store, job, after(job))).toBeUndefined();
      expect((await store.find(job.jobId))!.status).toBe("RUNNING");
    });
  });

  describe(`${name}: jobs that the database does not know`, () => {
    /** The job as its worker has it; a new store does not know it. */
    const elsewhere = async (fields: Partial<NewJob> = {}): Promise<Job> => {
      const place = mkdtempSync(join(tmpdir(), "orchesjob-store-"));
      const store = openStore(place);
      const job = newJob({
        labels: new Map([["a", "b"]]),
        env: ["X=1"],
        timeoutMs: 5_000,
        onExit: HOOK,
        ...fields,
      });
      await claim(store, job, undefined, at(10));
      await VERBS.run(store, job.jobId);
      await store.recordTarget(job.jobId, TARGET, at(55));
      const known = (await store.find(job.jobId))!;
      store.close();
      rmSync(place, { recursive: true });
      return known;
    };

    testWith("a running job is restored as it was, once, and ends like any other", async (store, open) => {
      const known = await elsewhere({ attemptNo: 4, requestId: "r" });
      expect(await store.adopt(known)).toEqual(known);
      expect(await open().find(known.jobId)).toEqual(known);
      expect((await store.findRequest("k", "r"))!.job).toEqual(known);
      expect(await store.adopt({ ...known, status: "FAILED" })).toEqual(known);
      expect(await claim(store, newJob({ attemptNo: 5 }), undefined, at(60))).toBeUndefined();
      expect(await finish(store, known.jobId, SUCCESS, TARGET, at(70))).toMatchObject({
        status: "SUCCEEDED",
      });
    });

    testWith("a finished one is restored with its result", async (store) => {
      const known = await elsewhere();
      const ended: Job = {
        ...known,
        ...SIGNALLED,
        status: "CANCELLED",
        cancelReason: "x",
        finishedAt: at(80),
      };
      expect(await store.adopt(ended)).toEqual(ended);
      expect(await store.active()).toEqual([]);
    });

    testWith(
      "restoring makes no second active job of a key, and the active one is the newest",
      async (store) => {
        const known = await elsewhere({ attemptNo: 2 });
        const others = [newJob(), newJob({ attemptNo: 2 }), newJob({ attemptNo: 3 })];
        await claim(store, others[0]!, undefined, at(1));
        expect(await store.adopt(known)).toBeUndefined();
        expect(await store.find(known.jobId)).toBeUndefined();
        await VERBS.lose(store, others[0]!.jobId);
        for (const [index, job] of others.entries()) {
          if (index === 0) continue;
          await claim(store, job, others[index - 1]!.jobId, at(100 + index));
          await VERBS.lose(store, job.jobId);
        }
        expect(await store.adopt(known)).toEqual({ ...known, attemptNo: 4 });
        expect((await store.latest("k"))!.jobId).toBe(known.jobId);
      },
    );

    testWith(
      "a finished one keeps its attempt number if it is free, and otherwise gets the next",
      async (store) => {
        const ended = {
          ...(await elsewhere({ attemptNo: 2 })),
          ...FAILURE,
          status: "FAILED",
          finishedAt: at(80),
        } as const;
        const taken = {
          ...(await elsewhere({ attemptNo: 3 })),
          ...FAILURE,
          status: "FAILED",
          finishedAt: at(90),
        } as const;
        const other = newJob({ attemptNo: 3 });
        await claim(store, other, undefined, at(1));
        expect(await store.adopt(ended)).toEqual(ended);
        expect(await store.adopt(taken)).toEqual({ ...taken, attemptNo: 4 });
      },
    );

    testWith("unclaimed: the ids of no job, or of a job that no worker has claimed", async (store) => {
      const [starting, running] = [await jobIn(store, "STARTING"), await jobIn(store, "RUNNING")];
      const lost = await jobIn(store, "LOST");
      const ids = [starting, running, lost].map(({ jobId }) => jobId);
      expect(await store.unclaimed([...ids, "none"])).toEqual([starting.jobId, "none"]);
      expect(await store.unclaimed([])).toEqual([]);
    });

    testWith("a stall is recorded, and that it is over, as long as the job is active", async (store) => {
      const { jobId } = await jobIn(store, "RUNNING");
      await store.recordStall(jobId, at(55), at(56));
      expect(await store.find(jobId)).toMatchObject({ stalledSince: at(55) });
      await store.recordStall(jobId, null, at(57));
      expect(await store.find(jobId)).toMatchObject({ stalledSince: null });
      await store.recordStall(jobId, at(58), at(59));
      await VERBS.fail(store, jobId);
      await store.recordStall(jobId, null, at(70));
      expect(await store.find(jobId)).toMatchObject({ stalledSince: at(58) });
    });

    testWith(
      "the first time of a log's limit stands, the last count of bytes, while active",
      async (store) => {
        const { jobId } = await jobIn(store, "RUNNING");
        await store.recordLogLimit(jobId, null, at(55));
        expect(await store.find(jobId)).toMatchObject({ logLimitAt: at(55), logDroppedBytes: null });
        await store.recordLogLimit(jobId, 7, at(57));
        await VERBS.fail(store, jobId);
        await store.recordLogLimit(jobId, 8, at(70));
        expect(await store.find(jobId)).toMatchObject({ logLimitAt: at(55), logDroppedBytes: 7 });
      },
    );

    testWith("recordTarget returns whether the job is active", async (store) => {
      expect(await store.recordTarget((await jobIn(store, "RUNNING")).jobId, TARGET, at(1))).toBe(true);
      expect(await store.recordTarget((await jobIn(store, "FAILED")).jobId, TARGET, at(1))).toBe(false);
      expect(await store.recordTarget("none", TARGET, at(1))).toBe(false);
    });

    testWith("a disconnected store reconnects when it is used", async (store, open) => {
      store.disconnect();
      store.disconnect();
      const { jobId } = await jobIn(open(), "RUNNING");
      expect(await store.find(jobId)).toMatchObject({ status: "RUNNING" });
    });
  });

  describe(`${name}: the state machine`, () => {
    for (const status of Object.keys(PATHS) as JobStatus[]) {
      for (const event of Object.keys(VERBS) as Verb[]) {
        const { from, to } = EVENTS[event];
        const allowed = (from as readonly JobStatus[]).includes(status);
        testWith(
          `${event} ${allowed ? `leads from ${status} to ${to}` : `leaves ${status} as it is`}`,
          async (store, open) => {
            const before = await jobIn(store, status);
            const after = await VERBS[event](open(), before.jobId);
            expect(await store.find(before.jobId)).toEqual(after ?? before);
            if (allowed) expect(after).toMatchObject({ jobId: before.jobId, status: to });
            else expect(after).toBeUndefined();
          },
        );
      }
    }

    testWith("no event makes a job that does not exist", async (store) => {
      for (const verb of Object.values(VERBS)) expect(await verb(store, "nobody")).toBeUndefined();
      await store.recordTarget("nobody", TARGET, at(1));
      expect(await store.find("nobody")).toBeUndefined();
    });

    test("the table has no event from a terminal status", () => {
      const terminal = STATUSES.filter((status) => status !== "STARTING" && status !== "RUNNING");
      for (const { from } of Object.values(EVENTS))
        for (const status of terminal) expect(from as readonly JobStatus[]).not.toContain(status);
    });

    testWith("run is won at most once, by one of many at once", async (store, open) => {
      const { jobId } = await jobIn(store, "STARTING");
      const rivals = Array.from({ length: 8 }, (_, index) =>
        open().run(jobId, { pid: 1000 + index, startTicks: index }, PLACE, at(5)),
      );
      const won = (await Promise.all(rivals)).filter((job) => job !== undefined);
      expect(won).toHaveLength(1);
      expect((await store.find(jobId))!.worker).toEqual(won[0]!.worker);
    });
  });

  describe(`${name}: what the events record`, () => {
    testWith("run: the worker, and where it runs", async (store) => {
      const job = await jobIn(store, "STARTING");
      const elsewhere = { host: "other", bootId: "second", pidNamespace: "7" };
      expect(await store.run(job.jobId, WORKER, { origin: elsewhere, unit: "its.scope" }, at(20))).toEqual({
        ...job,
        status: "RUNNING",
        worker: WORKER,
        origin: elsewhere,
        unit: "its.scope",
      });
    });

    testWith("finish: the outcome, the target and the time", async (store) => {
      const outcomes: readonly [Outcome, JobStatus][] = [
        [SUCCESS, "SUCCEEDED"],
        [FAILURE, "FAILED"],
        [{ exitCode: -9, signal: "SIGKILL", error: null, failure: null, usage: null }, "FAILED"],
        [{ exitCode: 255, signal: null, error: null, failure: null, usage: null }, "FAILED"],
      ];
      for (const [outcome, status] of outcomes) {
        const job = await jobIn(store, "RUNNING");
        const finished = await finish(store, job.jobId, outcome, TARGET, at(99));
        expect(finished).toEqual({ ...job, ...outcome, status, target: TARGET, finishedAt: at(99) });
      }
    });

    testWith("finish without a target: why there is none", async (store) => {
      const job = await jobIn(store, "RUNNING");
      const outcome = {
        exitCode: -1,
        signal: null,
        error: 'no such file: "/x"',
        failure: "not_found" as const,
        usage: null,
      };
      const finished = await finish(store, job.jobId, outcome, null, at(99));
      expect(finished).toEqual({ ...job, ...outcome, status: "FAILED", target: null, finishedAt: at(99) });
    });

    testWith("finish without a target keeps the one that was recorded", async (store) => {
      const job = await jobIn(store, "RUNNING");
      await store.recordTarget(job.jobId, TARGET, at(30));
      expect(await finish(store, job.jobId, SUCCESS, null, at(99))).toMatchObject({ target: TARGET });
    });

    testWith("lose: the reason and when it was found, and no exit code", async (store) => {
      for (const reason of ["reboot", "worker_killed", "start_interrupted", "unknown"] as const) {
        const job = await jobIn(store, "RUNNING");
        expect(await store.lose(job.jobId, reason, at(88))).toEqual({
          ...job,
          status: "LOST",
          lostReason: reason,
          finishedAt: at(88),
        });
      }
    });

    testWith("recordOrphanEnd: once, and of a LOST job alone", async (store, open) => {
      const lost = await jobIn(store, "LOST");
      const orphanEnd = { at: at(90), exitCode: -15, signal: "SIGTERM" };
      await store.recordOrphanEnd(lost.jobId, orphanEnd);
      await store.recordOrphanEnd(lost.jobId, { at: at(91), exitCode: null, signal: null });
      expect(await open().find(lost.jobId)).toEqual({ ...lost, orphanEnd });
      for (const status of ["RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"] as const) {
        const other = await jobIn(store, status);
        await store.recordOrphanEnd(other.jobId, orphanEnd);
        expect(await store.find(other.jobId)).toEqual(other);
      }
    });

    testWith("recordOrphanEnd: at the latest when the next job of the key began", async (store) => {
      const lost = await jobIn(store, "LOST");
      let previous = lost.jobId;
      for (const [attemptNo, time] of [
        [2, 70],
        [3, 80],
      ] as const) {
        const next = newJob({ runKey: lost.runKey, attemptNo });
        expect(await claim(store, next, previous, at(time))).toBeDefined();
        previous = next.jobId;
        await VERBS.run(store, next.jobId);
        await VERBS.succeed(store, next.jobId);
      }
      await store.recordOrphanEnd(lost.jobId, { at: at(90), exitCode: 7, signal: null });
      expect((await store.find(lost.jobId))!.orphanEnd).toEqual({ at: at(70), exitCode: 7, signal: null });
    });

    testWith("recordTarget: the target of an active job, and of no other", async (store, open) => {
      const running = await jobIn(store, "RUNNING");
      await store.recordTarget(running.jobId, TARGET, at(30));
      expect(await open().find(running.jobId)).toEqual({ ...running, target: TARGET });
      for (const status of ["SUCCEEDED", "FAILED", "LOST"] as const) {
        const finished = await jobIn(store, status);
        await store.recordTarget(finished.jobId, { pid: 999, startTicks: 9 }, at(30));
        expect(await store.find(finished.jobId)).toEqual(finished);
      }
    });
  });

  describe(`${name}: reading`, () => {
    testWith("a new store has no jobs", async (store) => {
      expect(await store.find("x")).toBeUndefined();
      expect(await store.latest("k")).toBeUndefined();
      expect(await store.history("k")).toEqual([]);
      expect(await store.active()).toEqual([]);
      expect(await store.finishedBefore(Number.MAX_SAFE_INTEGER, 10)).toEqual([]);
      expect(await store.finishedBefore(Number.MAX_SAFE_INTEGER, 1_000)).toHaveLength(0);
    });

    testWith("latest and history: the newest first, also within one instant", async (store) => {
      let latest: string | undefined;
      const ids: string[] = [];
      for (let attemptNo = 1; attemptNo <= 11; attemptNo++) {
        // Ids that say nothing about the order.
        const job = newJob({ attemptNo, jobId: `${(attemptNo * 7) % 11}-${jobs}` });
        await claim(store, job, latest, at(1));
        await store.lose(job.jobId, "unknown", at(1));
        latest = job.jobId;
        ids.unshift(job.jobId);
        await jobIn(store, "SUCCEEDED");
      }
      expect((await store.latest("k"))!.jobId).toBe(ids[0]!);
      expect((await store.history("k")).map((job) => job.jobId)).toEqual(ids);
    });

    testWith("active: all active jobs and no others, oldest first", async (store) => {
      const expected: string[] = [];
      for (const status of ["RUNNING", "SUCCEEDED", "STARTING", "FAILED", "RUNNING", "LOST"] as const) {
        const job = await jobIn(store, status);
        if (status === "RUNNING" || status === "STARTING") expected.push(job.jobId);
      }
      expect((await store.active()).map((job) => job.jobId)).toEqual(expected);
    });

    testWith("what one connection has written another one sees at once", async (store, open) => {
      const other = open();
      const job = await jobIn(store, "STARTING");
      expect(await other.find(job.jobId)).toEqual(job);
      await other.run(job.jobId, WORKER, PLACE, at(5));
      expect(await store.find(job.jobId)).toMatchObject({ status: "RUNNING" });
      other.close();
      store.close();
      expect(await open().find(job.jobId)).toMatchObject({ status: "RUNNING", worker: WORKER });
    });
  });

  describe(`${name}: cleaning`, () => {
    /** Jobs that ended at the given times. */
    const endedAt = async (store: JobStore, times: readonly number[]): Promise<string[]> => {
      const ids: string[] = [];
      for (const time of times) {
        const { jobId } = await jobIn(store, "STARTING");
        await store.lose(jobId, "unknown", at(time));
        ids.push(jobId);
      }
      return ids;
    };

    testWith("finishedBefore: in order of their end, the time itself excluded", async (store) => {
      const [a, b, c, d] = await endedAt(store, [300, 100, 400, 200]);
      await jobIn(store, "RUNNING");
      const found = async (before: number) =>
        (await store.finishedBefore(at(before), 10)).map((candidate) => candidate.jobId);
      expect(await found(401)).toEqual([b!, d!, a!, c!]);
      expect(await found(400)).toEqual([b!, d!, a!]);
      expect(await found(100)).toEqual([]);
      expect(await store.finishedBefore(at(400), 1_000)).toHaveLength(3);
    });

    testWith(
      "finishedBefore: pages visit each job once, also if many ended at one instant",
      async (store) => {
        const ids = await endedAt(store, [5, 5, 5, 5, 5, 6, 6, 7]);
        const seen: string[] = [];
        let cursor: CleanCandidate | undefined;
        for (;;) {
          const page = await store.finishedBefore(at(100), 3, cursor);
          if (page.length === 0) break;
          expect(page.length).toBeLessThanOrEqual(3);
          seen.push(...page.map((candidate) => candidate.jobId));
          // Some are deleted between two pages, as clean does.
          await store.remove(page.slice(0, 2).map((candidate) => candidate.jobId));
          cursor = page.at(-1);
        }
        expect(seen).toEqual(ids);
      },
    );

    testWith("finishedBefore: as much of a job as clean needs", async (store) => {
      const job = await jobIn(store, "SUCCEEDED");
      const [candidate] = await store.finishedBefore(at(100), 10);
      const { jobId, runKey, attemptNo, status } = job;
      const position = candidate!.position;
      const seen = { jobId, runKey, attemptNo, status, endedAt: at(60), position };
      expect(candidate).toEqual({
        ...seen,
        hook: "none",
        hasInput: false,
        hasPipes: false,
        hasStallLog: false,
        mayLive: false,
      });
    });

    testWith("finishedBefore: with a filter, only what it lets through", async (store) => {
      const team = {
        labels: new Map([
          ["team", "billing"],
          ["a.b/c", "x"],
        ]),
      };
      const made: string[] = [];
      for (const [runKey, fields] of Object.entries({ a: team, b: {}, c: {} })) {
        const { jobId } = (await claim(store, newJob({ runKey, ...fields }), undefined, at(1)))!;
        await store.lose(jobId, "unknown", at(10 + made.length));
        made.push(jobId);
      }
      const [a, b, c] = made as [string, string, string];
      const all = { since: undefined, oneOf: undefined, statuses: [], labels: new Map() };
      const found = async (filter: Partial<FinishedFilter>) =>
        (await store.finishedBefore(at(100), 10, undefined, { ...all, ...filter })).map(({ jobId }) => jobId);
      expect(await found({})).toEqual([a, b, c]);
      expect(await found({ since: at(11) })).toEqual([b, c]);
      expect(await found({ oneOf: { runKeys: ["b"], jobIds: [c] } })).toEqual([b, c]);
      expect(await found({ oneOf: { runKeys: [], jobIds: [] } })).toEqual([]);
      expect(await found({ labels: team.labels })).toEqual([a]);
      expect(await found({ labels: new Map([["team", "sales"]]) })).toEqual([]);
      expect(await found({ statuses: ["LOST", "FAILED"] })).toEqual([a, b, c]);
      expect(await found({ statuses: ["FAILED"] })).toEqual([]);
      expect(await found({ oneOf: { runKeys: ["a", "b"], jobIds: [] }, since: at(11) })).toEqual([b]);
    });

    testWith("finishedBefore: whether the hook has yet to run", async (store) => {
      const hooked = newJob({ onExit: { command: "true", timeoutMs: 1_000 } });
      await claim(store, hooked, undefined, at(1));
      await store.lose(hooked.jobId, "unknown", at(2));
      expect(await store.finishedBefore(at(100), 10)).toMatchObject([{ jobId: hooked.jobId, hook: "due" }]);
      await store.recordHook(hooked.jobId, "exit", { exitCode: 0, error: null, finishedAt: at(3) });
      expect(await store.finishedBefore(at(100), 10)).toMatchObject([{ jobId: hooked.jobId, hook: "over" }]);
    });

    testWith("firstKept: the oldest of the N newest finished ones of each key", async (store) => {
      let latest: string | undefined;
      for (let attemptNo = 1; attemptNo <= 5; attemptNo++) {
        const job = newJob({ attemptNo });
        await claim(store, job, latest, at(attemptNo));
        if (attemptNo < 5) await store.lose(job.jobId, "unknown", at(attemptNo));
        latest = job.jobId;
      }
      const other = await jobIn(store, "SUCCEEDED");
      const asked = ["k", other.runKey, "nobody's"];
      // The fifth is active.
      expect(await store.firstKept(asked, 1)).toEqual(
        new Map([
          ["k", 4],
          [other.runKey, 1],
        ]),
      );
      expect([...(await store.firstKept(asked, 3))]).toEqual([["k", 2]]);
      expect([...(await store.firstKept(asked, 5))]).toEqual([]);
      expect([...(await store.firstKept([], 1))]).toEqual([]);
    });

    testWith("unknown: the ids that no job has", async (store) => {
      const [a, b] = await endedAt(store, [1, 2]);
      const active = await jobIn(store, "RUNNING");
      expect(await store.unknown(["x", a!, active.jobId, b!, "y"])).toEqual(["x", "y"]);
      await store.remove([a!]);
      expect(await store.unknown([a!, b!])).toEqual([a!]);
      expect(await store.unknown([])).toEqual([]);
    });

    testWith("remove: finished jobs, counted, and never an active one", async (store, open) => {
      const finished = await endedAt(store, [1, 2, 3]);
      const active = [await jobIn(store, "STARTING"), await jobIn(store, "RUNNING")].map((job) => job.jobId);
      expect(await store.remove([...finished.slice(0, 2), ...active, "nobody"])).toBe(2);
      const other = open();
      expect(await other.find(finished[0]!)).toBeUndefined();
      expect(await other.find(finished[2]!)).toBeDefined();
      expect(await other.active()).toHaveLength(2);
      expect(await store.remove([])).toBe(0);
      expect(await store.remove(finished)).toBe(1);
    });

    testWith("remove: never a job whose hook has yet to run", async (store) => {
      const { jobId } = await finishedWithHook(store);
      expect(await store.remove([jobId])).toBe(0);
      expect(await store.finishedBefore(at(100), 10)).toMatchObject([{ jobId, hook: "due" }]);
      await store.recordHook(jobId, "exit", { exitCode: 0, error: null, finishedAt: at(90) });
      expect(await store.finishedBefore(at(100), 10)).toMatchObject([{ jobId, hook: "over" }]);
      expect(await store.remove([jobId])).toBe(1);
    });

    testWith("remove: thousands at once", async (store) => {
      const ids = Array.from({ length: 5000 }, (_, index) => `none-${index}`);
      const [real] = await endedAt(store, [1]);
      expect(await store.remove([...ids, real!])).toBe(1);
    });

    testWith("a removed key starts with attempt 1 again", async (store) => {
      const job = await jobIn(store, "SUCCEEDED");
      await store.remove([job.jobId]);
      expect(await store.latest(job.runKey)).toBeUndefined();
      expect(await claim(store, newJob({ runKey: job.runKey }), undefined, at(5))).toMatchObject({
        attemptNo: 1,
      });
    });

    testWith("disconnect, checkpoint and discardOldCopy change no job", async (store) => {
      const job = await jobIn(store, "SUCCEEDED");
      store.disconnect();
      await store.checkpoint();
      await store.discardOldCopy();
      expect(await store.find(job.jobId)).toEqual(job);
    });
  });

  describe(`${name}: statistics and suggestions`, () => {
    const REQUEST = { durationBounds: [10, 100], labels: [], limit: 100 };

    testWith("an empty store has none", async (store) => {
      expect(await store.statistics(REQUEST)).toEqual({
        groups: [],
        mergedLabelValues: 0,
        runKeys: [],
        omittedRunKeys: 0,
      });
      expect(await store.newestOfKeys("", 10)).toEqual([]);
      expect(await store.jobsById("", 10)).toEqual([]);
      expect((await store.size()).bytes).toBeGreaterThan(0);
    });

    testWith("counts every status, and the durations of jobs with a known end", async (store) => {
      for (const status of STATUSES) await jobIn(store, status);
      const { groups, runKeys } = await store.statistics(REQUEST);
      const byStatus = new Map(groups.map((group) => [group.status, group]));
      expect([...byStatus.keys()].sort()).toEqual([...STATUSES].sort());
      for (const status of STATUSES) {
        // Accepted at 10, ended at 60: see VERBS.
        const timed = ["SUCCEEDED", "FAILED", "CANCELLED"].includes(status);
        expect(byStatus.get(status)).toEqual({
          status,
          labelValues: [],
          count: 1,
          durations: timed ? [0, 1, 0] : [0, 0, 0],
          totalDuration: timed ? 50 : 0,
        });
      }
      const results = new Map(runKeys.map((key) => [key.newest.status, key]));
      expect(results.get("SUCCEEDED")).toMatchObject({ lastResult: "SUCCEEDED", lastSuccess: at(60) });
      expect(results.get("LOST")).toMatchObject({ lastResult: "LOST", lastSuccess: undefined });
      expect(results.get("RUNNING")).toMatchObject({ lastResult: undefined, lastSuccess: undefined });
    });

    testWith(
      "the newest job of a key, its last result and its last success are three different things",
      async (store) => {
        const [first, second, third] = [newJob(), newJob({ attemptNo: 2 }), newJob({ attemptNo: 3 })];
        await claim(store, first, undefined, at(1));
        await VERBS.run(store, first.jobId);
        await finish(store, first.jobId, SUCCESS, TARGET, at(100));
        await claim(store, second, first.jobId, at(200));
        await VERBS.run(store, second.jobId);
        await finish(store, second.jobId, FAILURE, TARGET, at(300));
        await claim(store, third, second.jobId, at(400));
        const { runKeys } = await store.statistics(REQUEST);
        expect(runKeys).toHaveLength(1);
        expect(runKeys[0]).toMatchObject({
          newest: { jobId: third.jobId, startedAt: at(400) },
          lastResult: "FAILED",
          lastSuccess: at(100),
        });
      },
    );

    testWith("jobs are told apart by the values of labels, up to a limit", async (store) => {
      const teams = ["red", "red", "red", "blue", "blue", "", "green"];
      for (const [index, team] of teams.entries()) {
        const labels = new Map(team === "" ? [] : [['a."b', "x"] as const, ["team", team] as const]);
        await claim(store, newJob({ runKey: `k${index}`, labels }), undefined, at(index));
      }
      const count = async (labels: readonly string[], limit: number) => {
        const { groups, mergedLabelValues } = await store.statistics({ ...REQUEST, labels, limit });
        return [mergedLabelValues, ...groups.map(({ labelValues, count }) => [labelValues, count])];
      };
      expect(await count(["team"], 10)).toEqual([0, [["red"], 3], [["blue"], 2], [[""], 1], [["green"], 1]]);
      expect(await count(["team"], 2)).toEqual([2, [["red"], 3], [["blue"], 2], [undefined, 2]]);
      expect(await count(["team"], 1)).toEqual([3, [["red"], 3], [undefined, 4]]);
      expect(await count(["none", "team"], 1)).toEqual([3, [["", "red"], 3], [undefined, 4]]);
    });

    testWith("keys and ids by their prefix", async (store) => {
      const keys = async (prefix: string, limit: number) =>
        (await store.newestOfKeys(prefix, limit)).map((job) => job.runKey);
      const ids = [];
      for (const runKey of ["b", "a", "a%", "a_", "ab", "\u{10fffe}"]) {
        const job = newJob({ runKey });
        ids.unshift(job.jobId);
        await claim(store, job, undefined, at(1));
      }
      expect(await keys("", 10)).toEqual(["a", "a%", "a_", "ab", "b", "\u{10fffe}"]);
      expect(await keys("a", 10)).toEqual(["a", "a%", "a_", "ab"]);
      expect(await keys("a%", 10)).toEqual(["a%"]);
      expect(await keys("a", 2)).toEqual(["a", "a%"]);
      expect((await store.jobsById("job-", 2)).map((job) => job.jobId)).toEqual(ids.slice(0, 2));
      expect((await store.jobsById(ids[3]!, 10)).map((job) => job.jobId)).toEqual([ids[3]!]);
    });
  });
}
