/** The answers of the API of `serve` that are made of figures: overview, timeline, run keys. */
import { OrchesjobError } from "../../job/errors.ts";
import type { Job } from "../../job/job.ts";
import { checkRunKey } from "../../job/request.ts";
import { type JobStatus, STATUSES } from "../../job/status.ts";
import { dayBounds, isSlow, type Outcomes, toTotals, toUsual, type Usual } from "../../job/usual.ts";
import { OrphanFinder } from "../../jobs/orphan-finder.ts";
import { now } from "../../linux/clock.ts";
import { isThere } from "../../linux/stat.ts";
import type { Viewer } from "../../serve/viewer.ts";
import type { Run } from "../../store/figures.ts";
import type {
  ActiveJobView,
  KeysView,
  KeyView,
  OverviewView,
  RunView,
  TimelineView,
  TotalsView,
  UsualView,
} from "../answers/serve.ts";
import { formatInstant, readInstant } from "../options/time.ts";
import { viewsWithOutput } from "../output/views.ts";
import { allowOnly, number, single } from "./query.ts";

const DAY = 86_400_000_000;
/** How many days before the last 24 hours say what is usual. */
const USUAL_DAYS = 28;
const MOST_RUNS = 20_000;

const toSeconds = (micros: number | null): number | null => (micros === null ? null : micros / 1_000_000);
const toMs = (micros: number): number => micros / 1000;

function usualView({ runs, succeeded, median, p95, shortest, longest }: Usual): UsualView {
  return {
    runs,
    succeeded,
    success_rate: runs === 0 ? null : succeeded / runs,
    median_seconds: toSeconds(median),
    p95_seconds: toSeconds(p95),
    shortest_seconds: toSeconds(shortest),
    longest_seconds: toSeconds(longest),
  };
}

export function runView({ jobId, runKey, status, startedAt, endedAt }: Run): RunView {
  return {
    job_id: jobId,
    run_key: runKey,
    status,
    started_ms: toMs(startedAt),
    finished_ms: endedAt === null ? null : toMs(endedAt),
  };
}

/** `days`: the counts are averages of so many days. */
function totalsView(outcomes: Outcomes, days = 1): TotalsView {
  const { ended, succeeded, successRate } = toTotals(outcomes);
  const average = (count = 0) => count / days;
  return {
    ended: average(ended),
    succeeded: average(succeeded),
    failed: average(outcomes.FAILED),
    lost: average(outcomes.LOST),
    cancelled: average(outcomes.CANCELLED),
    success_rate: successRate,
  };
}

function sumOf(periods: readonly Outcomes[]): Outcomes {
  const sum: Partial<Record<JobStatus, number>> = {};
  for (const outcomes of periods)
    for (const status of STATUSES) sum[status] = (sum[status] ?? 0) + (outcomes[status] ?? 0);
  return sum;
}

export async function overview(viewer: Viewer, version: string): Promise<OverviewView> {
  const { context } = viewer;
  const at = now();
  const figures = await viewer.figures();
  const active = (await viewer.active()).filter(
    ({ status }) => status === "STARTING" || status === "RUNNING",
  );
  const usual = await figures?.usual([...new Set(active.map(({ runKey }) => runKey))]);
  const views = await viewsWithOutput(new OrphanFinder(context), active);
  const jobs = active.map((job, index): ActiveJobView => {
    const { median = null, p95 = null } = usual?.get(job.runKey) ?? {};
    const elapsed = Math.max(0, at - job.startedAt);
    return {
      ...views[index]!,
      elapsed_seconds: elapsed / 1_000_000,
      is_slow: isSlow(elapsed, usual?.get(job.runKey)),
      median_seconds: toSeconds(median),
      p95_seconds: toSeconds(p95),
    };
  });
  const bounds = Array.from({ length: USUAL_DAYS + 2 }, (_, index) => at - (USUAL_DAYS + 1 - index) * DAY);
  const days = (await figures?.outcomes(bounds)) ?? [];
  const last = days.at(-1) ?? {};
  const before = days.slice(0, -1);
  // Days before the first job say nothing about what is usual.
  const first = before.findIndex((outcomes) => toTotals(outcomes).ended > 0);
  const known = first < 0 ? [] : before.slice(first);
  return {
    at: formatInstant(at),
    host: context.origin.host,
    state_directory: context.home.path,
    version,
    in_fleet: isThere(context.home.fleet),
    active: jobs.length,
    stalled: active.filter(({ stalledSince }) => stalledSince !== null).length,
    slow: jobs.filter(({ is_slow }) => is_slow).length,
    jobs,
    last_24_hours: totalsView(last),
    usual_24_hours: totalsView(sumOf(known), Math.max(1, known.length)),
    usual_days: known.length,
  };
}

export async function timeline(viewer: Viewer, query: URLSearchParams): Promise<TimelineView> {
  allowOnly(query, ["from", "to", "key", "limit"]);
  const to = (await readInstant("to", single(query, "to"))) ?? now();
  const from = (await readInstant("from", single(query, "from"))) ?? to - DAY;
  if (from >= to) throw new OrchesjobError("usage", "from must be before to");
  const runKey = single(query, "key");
  const limit = number(query, "limit", { smallest: 1, largest: MOST_RUNS, otherwise: 10_000 });
  const figures = await viewer.figures();
  const found = (await figures?.runs({ runKey, from, to, limit })) ?? [];
  // Some may be lost, which nobody has recorded yet.
  const isOpen = found.some(({ endedAt }) => endedAt === null);
  const judged = new Map((isOpen ? await viewer.active() : []).map((job) => [job.jobId, job.status]));
  const places = new Map<string, number>();
  const runs = found.map(({ jobId, runKey: name, status: recorded, startedAt, endedAt }) => {
    const status = (endedAt === null ? judged.get(jobId) : undefined) ?? recorded;
    const key = places.get(name) ?? places.size;
    places.set(name, key);
    const finished = endedAt === null ? null : toMs(endedAt);
    return { key, job_id: jobId, status, started_ms: toMs(startedAt), finished_ms: finished };
  });
  return {
    from_ms: toMs(from),
    to_ms: toMs(to),
    keys: [...places.keys()],
    runs,
    is_cut: runs.length >= limit,
  };
}

export async function keys(viewer: Viewer, query: URLSearchParams): Promise<KeysView> {
  allowOnly(query, ["after", "limit"]);
  const limit = number(query, "limit", { smallest: 1, largest: 1000, otherwise: 200 });
  const figures = await viewer.figures();
  const found = (await figures?.keysAfter(single(query, "after") ?? "", limit)) ?? [];
  const newest = found.length === 0 ? [] : await viewer.judge(found);
  const usual = await figures?.usual(newest.map(({ runKey }) => runKey));
  return {
    keys: newest.map((job) => {
      const { shortest_seconds, longest_seconds, ...view } = usualView(
        usual?.get(job.runKey) ?? toUsual(0, []),
      );
      return { run_key: job.runKey, attempt_no: job.attemptNo, last: runView(toRun(job)), ...view };
    }),
    next: newest.length < limit ? null : newest.at(-1)!.runKey,
  };
}

export async function key(viewer: Viewer, name: string, query: URLSearchParams): Promise<KeyView> {
  allowOnly(query, ["limit", "days"]);
  const limit = number(query, "limit", { smallest: 1, largest: 1000, otherwise: 200 });
  const days = number(query, "days", { smallest: 1, largest: 366, otherwise: 84 });
  const runKey = checkRunKey(name);
  const job = await viewer.newest(runKey);
  const figures = (await viewer.figures())!;
  const bounds = dayBounds(now(), days);
  const [view] = await viewsWithOutput(new OrphanFinder(viewer.context), [job]);
  const runs = await figures.runs({ runKey, from: 0, to: Number.MAX_SAFE_INTEGER, limit });
  return {
    run_key: runKey,
    job: view!,
    usual: usualView((await figures.usual([runKey])).get(runKey) ?? toUsual(0, [])),
    // The newest may be lost, which nobody has recorded yet.
    runs: runs.map((run) => runView(run.jobId === job.jobId ? toRun(job) : run)),
    days: (await figures.outcomes(bounds, runKey)).map((outcomes, index) => ({
      day: formatInstant(bounds[index]!).slice(0, 10),
      ...totalsView(outcomes),
    })),
  };
}

function toRun(job: Job): Run {
  return { ...job, endedAt: job.finishedAt };
}
