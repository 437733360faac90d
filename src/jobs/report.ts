/** Collects what `report` says: how the jobs of a period went, next to the period before and to what is usual. */
import { OrchesjobError } from "../job/errors.ts";
import type { Instant, Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { percentile, toTotals, type Totals, type Usual } from "../job/usual.ts";
import { now } from "../linux/clock.ts";
import type { Context } from "../state/context.ts";
import { findLastOutput, type LastOutput } from "../state/last-output.ts";
import type { Run } from "../store/figures.ts";
import type { JobStore } from "../store/store.ts";
import { listActive } from "./list.ts";
import { lastErrorLines } from "./report-errors.ts";

/** So many runs are read at most, of both periods together. */
const MOST_RUNS = 200_000;
/** The registry answers with whole jobs, all at once. */
const MOST_FLEET_JOBS = 10_000;
/** So many failed keys are told with their last lines. */
const MOST_FAILURES = 20;

/** Durations of the jobs that SUCCEEDED, in µs; null: none did. */
interface Durations {
  readonly median: number | null;
  readonly p95: number | null;
  readonly longest: number | null;
}

export interface Period extends Totals {
  readonly failed: number;
  readonly lost: number;
  readonly cancelled: number;
  readonly durations: Durations;
}

export interface KeyReport {
  readonly runKey: string;
  readonly period: Period;
  /** As of the report. */
  readonly before: Period | undefined;
  /** Undefined: no job of the key has ended on this host. */
  readonly usual: Usual | undefined;
}

export interface FailureReport {
  /** The newest one of its key. */
  readonly job: Job;
  readonly count: number;
  /** Of its stderr; undefined: they cannot be read here. */
  readonly lines: readonly string[] | undefined;
}

export interface Report {
  readonly at: Instant;
  readonly since: Instant;
  readonly host: string;
  readonly home: string;
  readonly isFleet: boolean;
  /** The oldest first. */
  readonly active: readonly {
    readonly job: Job;
    readonly last: LastOutput | undefined;
    readonly usual: Usual | undefined;
  }[];
  readonly period: Period;
  /** Undefined if there were too many jobs to read it whole. */
  readonly before: Period | undefined;
  /** The last one first; of each key one. */
  readonly failures: readonly FailureReport[];
  /** How many keys with failures are not among them. */
  readonly omittedFailures: number;
  /** In order of the keys. */
  readonly keys: readonly KeyReport[];
  /** Keys that ran at least twice in the period before, and not in this one. */
  readonly silent: readonly { readonly runKey: string; readonly before: number; readonly lastEnd: Instant }[];
  /** The time from which on there are figures; undefined: all were read. */
  readonly cutAt: Instant | undefined;
}

/** A run of a job on this host; of another, with the job. */
type AnyRun = Run & { readonly job?: Job };

/** Throws `not-found` if there is no store; with `fleet`, also as listFleet. */
export async function makeReport(context: Context, since: Instant, fleet: boolean): Promise<Report> {
  const store = context.openStore();
  if (store === undefined)
    throw new OrchesjobError(
      "not-found",
      `there are no jobs in ${context.home.path}`,
      "were they started with the same ORCHESJOB_HOME?",
    );
  const here = await listActive(context);
  // Not before: that look records the end of a job whose worker was killed, and the end belongs to this period.
  const at = now();
  const begin = since - (at - since);
  const figures = await store.figures();
  const own = await figures.runs({ from: begin, to: at, limit: MOST_RUNS });
  const there = fleet ? await readFleet(context, begin) : { active: [], runs: [], isCut: false };
  const runs: readonly AnyRun[] = [...own, ...there.runs].filter(
    ({ endedAt }) => endedAt !== null && endedAt < at,
  );
  const ended = new Set(runs.map(({ jobId }) => jobId));
  const active = [...here, ...there.active]
    .filter(({ jobId }) => !ended.has(jobId))
    .sort((a, b) => a.startedAt - b.startedAt);
  const isCut = own.length >= MOST_RUNS || there.isCut;
  const before = (all: readonly Run[]) => (isCut ? undefined : toPeriod(all.filter((run) => !isNow(run))));
  const isNow = ({ endedAt }: Run) => endedAt! >= since;
  const groups = Map.groupBy(runs, ({ runKey }) => runKey);
  const usual = await figures.usual([...new Set([...groups.keys(), ...active.map(({ runKey }) => runKey)])]);
  const keys = [...groups]
    .map(([runKey, all]): KeyReport => ({
      runKey,
      period: toPeriod(all.filter(isNow)),
      before: before(all),
      usual: usual.get(runKey),
    }))
    .sort((a, b) => (a.runKey < b.runKey ? -1 : 1));
  const running = new Set(active.map(({ runKey }) => runKey));
  const failed = failuresOf(runs.filter(isNow));
  return {
    ...{ at, since, host: context.origin.host, home: context.home.path, isFleet: fleet },
    active: active.map((job) => ({
      job,
      last: findLastOutput(context.home, job),
      usual: usual.get(job.runKey),
    })),
    period: toPeriod(runs.filter(isNow)),
    before: before(runs),
    failures: await describeFailures(context, store, failed.slice(0, MOST_FAILURES)),
    omittedFailures: Math.max(0, failed.length - MOST_FAILURES),
    keys: keys.filter(({ period }) => period.ended > 0),
    silent: keys.flatMap(({ runKey, period, before: earlier }) => {
      if (earlier === undefined || period.ended > 0 || earlier.ended < 2 || running.has(runKey)) return [];
      const lastEnd = oldestFirst(groups.get(runKey)!).at(-1)!.endedAt!;
      return [{ runKey, before: earlier.ended, lastEnd }];
    }),
    cutAt: isCut ? oldestFirst(runs)[0]?.endedAt! : undefined,
  };
}

function toPeriod(runs: readonly Run[]): Period {
  const count = (status: Run["status"]) => runs.filter((run) => run.status === status).length;
  const outcomes = {
    SUCCEEDED: count("SUCCEEDED"),
    FAILED: count("FAILED"),
    LOST: count("LOST"),
    CANCELLED: count("CANCELLED"),
  };
  const durations = runs
    .filter(({ status }) => status === "SUCCEEDED")
    .map(({ startedAt, endedAt }) => Math.max(0, endedAt! - startedAt))
    .sort((a, b) => a - b);
  return {
    ...toTotals(outcomes),
    ...{ failed: outcomes.FAILED, lost: outcomes.LOST, cancelled: outcomes.CANCELLED },
    durations: {
      median: percentile(durations, 0.5),
      p95: percentile(durations, 0.95),
      longest: durations.at(-1) ?? null,
    },
  };
}

function oldestFirst(runs: readonly Run[]): readonly Run[] {
  return runs.toSorted((a, b) => a.endedAt! - b.endedAt!);
}

interface Failed {
  readonly newest: AnyRun;
  readonly count: number;
}

/** Of each key, the last one first. */
function failuresOf(runs: readonly AnyRun[]): readonly Failed[] {
  const failed = runs.filter(({ status }) => status === "FAILED" || status === "LOST");
  return [...Map.groupBy(failed, ({ runKey }) => runKey).values()]
    .map((all) => ({ newest: all.reduce((a, b) => (b.endedAt! > a.endedAt! ? b : a)), count: all.length }))
    .sort((a, b) => b.newest.endedAt! - a.newest.endedAt!);
}

async function describeFailures(
  context: Context,
  store: JobStore,
  failed: readonly Failed[],
): Promise<readonly FailureReport[]> {
  const found: FailureReport[] = [];
  for (const { newest, count } of failed) {
    const job = newest.job ?? (await store.find(newest.jobId));
    // Deleted meanwhile.
    if (job === undefined) continue;
    found.push({ job, count, lines: await lastErrorLines(context, job) });
  }
  return found;
}

/** The jobs of other members. */
async function readFleet(
  context: Context,
  begin: Instant,
): Promise<{ readonly active: readonly Job[]; readonly runs: readonly AnyRun[]; readonly isCut: boolean }> {
  const { openFleetList } = await import("./list-fleet.ts");
  const list = await openFleetList(context);
  const jobs = await list({
    ...{ statuses: [], labels: new Map(), runKeyPrefix: "", until: undefined, limit: MOST_FLEET_JOBS },
    // A job that ended in the period may have begun before.
    since: undefined,
  });
  const there = jobs.filter(({ elsewhere }) => elsewhere !== undefined);
  const ended = there.filter((job) => !isActive(job.status) && (job.finishedAt ?? job.startedAt) >= begin);
  return {
    active: there.filter((job) => isActive(job.status)),
    runs: ended.map((job) => ({ ...job, endedAt: job.finishedAt ?? job.startedAt, job })),
    isCut: jobs.length >= MOST_FLEET_JOBS && jobs.at(-1)!.startedAt >= begin,
  };
}
