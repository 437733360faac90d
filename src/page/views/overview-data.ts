/** What the overview shows, put together from several answers. */
import { get, getKey, getPiece, getTimeline } from "../api.ts";
import { countHours } from "../charts/hours.ts";
import { isTrouble } from "../outcome.ts";
import type { Row } from "../parts/cells.ts";
import { now } from "../parts/time.ts";
import type { Job, Key, Overview, Run } from "../wire.ts";

const DAY = 86_400_000;
/** How many jobs that ended are shown, and of how many failing keys the history is read. */
const ENDED = 12;
const MOST_KEYS = 20;

export interface Trouble extends Row {
  /** When its key first ended badly without a success since, in ms. */
  readonly since: number;
  readonly inARow: number;
}

export interface Data {
  readonly overview: Overview;
  readonly active: readonly Row[];
  /** The newest job of each key that failed in 24 hours and has not succeeded since. */
  readonly failing: readonly Trouble[];
  /** The newest failure of each key that succeeded since. */
  readonly recovered: readonly Row[];
  readonly ended: readonly Row[];
  readonly hours: ReturnType<typeof countHours>;
}

export async function load(signal: AbortSignal): Promise<Data> {
  const time = now();
  const list = (parameters: string) => get<readonly Job[]>(`/api/jobs?${parameters}`, signal);
  const [overview, timeline, bad, newest] = await Promise.all([
    get<Overview>("/api/overview", signal),
    getTimeline(time - DAY, time + 60_000, signal),
    list("status=FAILED&status=LOST&since=24h&limit=200"),
    list(`status=SUCCEEDED&status=FAILED&status=LOST&status=CANCELLED&limit=${ENDED}`),
  ]);
  const successes = new Map<string, number>();
  for (const { key, status, started_ms } of timeline.runs)
    if (status === "SUCCEEDED") {
      const runKey = timeline.keys[key]!;
      successes.set(runKey, Math.max(started_ms, successes.get(runKey) ?? 0));
    }
  const newestBad = new Map<string, Job>();
  for (const job of bad) if (!newestBad.has(job.run_key)) newestBad.set(job.run_key, job);
  const [recovered, failing] = [true, false].map((wanted) =>
    [...newestBad.values()].filter(
      (job) => (successes.get(job.run_key) ?? 0) > Date.parse(job.started_at) === wanted,
    ),
  ) as [Job[], Job[]];
  return {
    overview,
    active: overview.jobs.map((job) => ({ job, usual: { ...job, succeeded: job.is_slow ? Infinity : 0 } })),
    failing: await Promise.all(failing.map((job, index) => withHistory(job, index < MOST_KEYS, signal))),
    recovered: recovered.map((job) => ({ job })),
    ended: newest.map((job) => ({ job })),
    hours: countHours(timeline.runs, time),
  };
}

async function withHistory(job: Job, isWanted: boolean, signal: AbortSignal): Promise<Trouble> {
  const [key, lastLine] = isWanted
    ? await Promise.all([
        getKey(job.run_key, signal).catch(() => undefined),
        lastLineOf(job.job_id, signal).catch(() => undefined),
      ])
    : [];
  return { job, lastLine, usual: key?.usual, ...streakOf(key, job) };
}

/** Last lines of jobs that have ended do not change. */
const lastLines = new Map<string, string>();

/** The last line that a job wrote to stderr, or to stdout if there is none. */
async function lastLineOf(jobId: string, signal: AbortSignal): Promise<string> {
  const known = lastLines.get(jobId);
  if (known !== undefined) return known;
  for (const stream of ["stderr", "stdout"]) {
    const path = `/api/jobs/${encodeURIComponent(jobId)}/${stream}?from=-400&max=400`;
    const { bytes } = await getPiece(path, signal);
    const line = new TextDecoder()
      .decode(bytes)
      .trimEnd()
      .split(/[\r\n]/)
      .at(-1)!;
    if (line === "") continue;
    lastLines.set(jobId, line);
    return line;
  }
  return "";
}

/** How long a key has been failing: its runs back to the last success. */
function streakOf(key: Key | undefined, job: Job): { readonly since: number; readonly inARow: number } {
  const ended = (key?.runs ?? []).filter(({ finished_ms }) => finished_ms !== null);
  const success = ended.findIndex(({ status }) => status === "SUCCEEDED");
  const bad = ended.slice(0, success < 0 ? ended.length : success).filter(({ status }) => isTrouble(status));
  const first: Run | undefined = bad.at(-1);
  return {
    since: first?.finished_ms ?? Date.parse(job.finished_at ?? job.started_at),
    inARow: Math.max(1, bad.length),
  };
}
