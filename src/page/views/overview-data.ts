/** What the overview shows, put together from several answers. */
import { get, getKey, getPiece, getTimeline, ServerError } from "../api.ts";
import { countHours } from "../charts/hours.ts";
import { isActive, isTrouble } from "../outcome.ts";
import type { Row } from "../parts/cells.ts";
import { now } from "../parts/time.ts";
import type { ActiveJob, Job, Key, Overview, Run, Timeline } from "../wire.ts";

const DAY = 86_400_000;
/** How many jobs that ended are shown, and how many of those that failed. */
const ENDED = 12;
const MOST = 30;

export interface Trouble extends Row {
  /** When its key first ended badly without a success since, in ms. */
  readonly since: number;
  readonly inARow: number;
}

export interface Data {
  readonly overview: Overview;
  readonly active: readonly Row[];
  /** How many keys failed in 24 hours and have not succeeded since, and the newest job of each, up to a number. */
  readonly failingKeys: number;
  /** Jobs that are lost and not recorded as such yet: the server's counts do not have them. */
  readonly unrecorded: number;
  readonly failing: readonly Trouble[];
  /** The newest failure of each key that succeeded since. */
  readonly recovered: readonly Row[];
  /** Those that ended last, in 24 hours. */
  readonly ended: readonly Row[];
  readonly hours: ReturnType<typeof countHours>;
  /** If the server has answered with a part of the 24 hours, how many runs; else null. */
  readonly onlyNewest: number | null;
}

type Ended = Timeline["runs"][number];

export async function load(signal: AbortSignal): Promise<Data> {
  const time = now();
  const [overview, timeline] = await Promise.all([
    get<Overview>("/api/overview", signal),
    getTimeline(time - DAY, time + 60_000, signal),
  ]);
  // The newest end comes first.
  const ended = timeline.runs.filter(
    ({ status, finished_ms }) => !isActive(status) && (finished_ms ?? time) > time - DAY,
  );
  const newestBad = new Map<number, Ended>();
  const succeeded = new Map<number, Ended>();
  for (const run of ended) {
    const found = isTrouble(run.status) ? newestBad : run.status === "SUCCEEDED" ? succeeded : undefined;
    if (found !== undefined && !found.has(run.key)) found.set(run.key, run);
  }
  const isRecovered = ({ key, started_ms }: Ended) => (succeeded.get(key)?.started_ms ?? 0) > started_ms;
  const failing = [...newestBad.values()].filter((run) => !isRecovered(run));
  const recovered = [...newestBad.values()].filter(isRecovered);
  const rows = async (runs: readonly Ended[], most: number) =>
    (await Promise.all(runs.slice(0, most).map((run) => finishedJob(run.job_id, signal)))).filter(
      (job) => job !== undefined,
    );
  const [bad, better, newest] = await Promise.all([
    rows(failing, MOST),
    rows(recovered, MOST),
    rows(ended, ENDED),
  ]);
  return {
    ...activeOf(overview),
    failingKeys: failing.length,
    unrecorded: ended.filter(({ finished_ms }) => finished_ms === null).length,
    failing: await Promise.all(bad.map((job) => withHistory(job, signal))),
    recovered: better.map((job) => ({ job })),
    ended: newest.map((job) => ({ job })),
    hours: countHours(timeline.runs, time),
    onlyNewest: timeline.is_cut ? timeline.runs.length : null,
  };
}

/** The part that changes without a job that starts or ends: last lines, silence, what has become slow. */
export async function loadActive(signal: AbortSignal): Promise<Pick<Data, "overview" | "active">> {
  return activeOf(await get<Overview>("/api/overview", signal));
}

function activeOf(overview: Overview): Pick<Data, "overview" | "active"> {
  // The server has counted the successes: whether there are enough of them is in is_slow.
  const usual = (job: ActiveJob) => ({ ...job, succeeded: job.is_slow ? Infinity : 0 });
  return { overview, active: overview.jobs.map((job) => ({ job, usual: usual(job) })) };
}

/** Finished jobs do not change, except for the processes that some left behind. */
const finished = new Map<string, Job>();
const MOST_KNOWN = 500;

/** Undefined: it was deleted meanwhile. */
async function finishedJob(jobId: string, signal: AbortSignal): Promise<Job | undefined> {
  const known = finished.get(jobId);
  if (known !== undefined) return known;
  try {
    const job = await get<Job>(`/api/jobs/${encodeURIComponent(jobId)}`, signal);
    if (finished.size >= MOST_KNOWN) finished.clear();
    if (job.finished_at !== null && job.orphan_pids.length === 0) finished.set(jobId, job);
    return job;
  } catch (error) {
    if (error instanceof ServerError && error.status === 404) return undefined;
    throw error;
  }
}

async function withHistory(job: Job, signal: AbortSignal): Promise<Trouble> {
  const [key, lastLine] = await Promise.all([
    getKey(job.run_key, signal).catch(() => undefined),
    lastLineOf(job.job_id, signal).catch(() => undefined),
  ]);
  return { job, lastLine, usual: key?.usual, ...streakOf(key, job) };
}

/** Bytes of a log that are read for its last line. */
const LINE_BYTES = 400;
/** Last lines of jobs that have ended do not change. */
const lastLines = new Map<string, string>();

/** The last line that a job wrote to stderr, or to stdout if there is none. */
async function lastLineOf(jobId: string, signal: AbortSignal): Promise<string> {
  const known = lastLines.get(jobId);
  if (known !== undefined) return known;
  for (const stream of ["stderr", "stdout"]) {
    const path = `/api/jobs/${encodeURIComponent(jobId)}/${stream}?from=-${LINE_BYTES}&max=${LINE_BYTES}`;
    const { bytes } = await getPiece(path, signal);
    const lines = new TextDecoder()
      .decode(bytes)
      .trimEnd()
      .split(/[\r\n]/);
    if (lines.at(-1) === "") continue;
    const isCut = lines.length === 1 && bytes.length === LINE_BYTES;
    const line = (isCut ? "… " : "") + lines.at(-1)!;
    if (lastLines.size >= MOST_KNOWN) lastLines.clear();
    lastLines.set(jobId, line);
    return line;
  }
  return "";
}

/** How long a key has been failing: its runs back to the last success. */
function streakOf(key: Key | undefined, job: Job): { readonly since: number; readonly inARow: number } {
  const ended = (key?.runs ?? []).filter(({ status }) => !isActive(status));
  const success = ended.findIndex(({ status }) => status === "SUCCEEDED");
  const bad = ended.slice(0, success < 0 ? ended.length : success).filter(({ status }) => isTrouble(status));
  const first: Run | undefined = bad.at(-1);
  return {
    since: first?.finished_ms ?? Date.parse(job.finished_at ?? job.started_at),
    inARow: Math.max(1, bad.length),
  };
}
