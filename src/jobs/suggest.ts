/** What shell completion offers: run keys, attempts, job ids and labels, at most a fixed number of each. */
import { formatDuration } from "../job/duration.ts";
import type { Job } from "../job/job.ts";
import { isJobId } from "../job/request.ts";
import { now } from "../linux/clock.ts";
import type { Context } from "../state/context.ts";
import type { JobStore } from "../store/store.ts";

/** Neither is sanitized. */
export interface Suggestion {
  readonly value: string;
  /** For people: what is known of the value. */
  readonly remark: string;
}

/** More would be of no use to a person; a longer prefix finds the rest. */
const MAX_RUN_KEYS = 1_000;
const MAX_JOBS = 100;
/** Labels are those of so many of the newest jobs: there is no index of labels. */
const LABELLED_JOBS = 1_000;

type Suggest = (store: JobStore, prefix: string) => Promise<readonly Suggestion[]>;

const KINDS: Readonly<Record<string, Suggest>> = {
  "run-key": suggestKeys,
  "key-word": suggestKeyWords,
  "job-id": suggestJobIds,
  label: (store, prefix) => suggestLabels(store, prefix, ([name, value]) => `${name}=${value}`),
  "label-name": (store, prefix) => suggestLabels(store, prefix, ([name]) => name),
};

/** Nothing if the kind is unknown, or there is no state directory. */
export async function suggest(
  context: Context,
  kind: string,
  prefix: string,
): Promise<readonly Suggestion[]> {
  const find = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  const store = find === undefined ? undefined : context.openStore();
  return store === undefined ? [] : find!(store, prefix);
}

/** In order. */
async function suggestKeys(store: JobStore, prefix: string): Promise<readonly Suggestion[]> {
  const jobs = await store.newestOfKeys(prefix, MAX_RUN_KEYS);
  return jobs.map((job) => ({ value: job.runKey, remark: describe(job) }));
}

/** Run keys; after `KEY#`, also the jobs of that key, newest first. */
async function suggestKeyWords(store: JobStore, prefix: string): Promise<readonly Suggestion[]> {
  const [, runKey, digits = ""] = /^(.+)#(\d*)$/s.exec(prefix) ?? [];
  const keys = await suggestKeys(store, prefix);
  if (runKey === undefined) return keys;
  const jobs = (await store.history(runKey)).filter(({ attemptNo }) => String(attemptNo).startsWith(digits));
  const attempts = jobs
    .slice(0, MAX_JOBS)
    .map((job) => ({ value: `${runKey}#${job.attemptNo}`, remark: describe(job) }));
  // A run key of that name is what the word would mean.
  const taken = new Set(keys.map(({ value }) => value));
  return [...keys, ...attempts.filter(({ value }) => !taken.has(value))];
}

/** Newest first. */
async function suggestJobIds(store: JobStore, prefix: string): Promise<readonly Suggestion[]> {
  const jobs = await store.jobsById(prefix, MAX_JOBS);
  return jobs
    .filter((job) => isJobId(job.jobId))
    .map((job) => ({ value: job.jobId, remark: `${job.runKey} ${job.status}` }));
}

/** In order. */
async function suggestLabels(
  store: JobStore,
  prefix: string,
  format: (label: readonly [name: string, value: string]) => string,
): Promise<readonly Suggestion[]> {
  const jobs = await store.list({
    statuses: [],
    labels: new Map(),
    runKeyPrefix: "",
    since: undefined,
    until: undefined,
    limit: LABELLED_JOBS,
  });
  const counts = new Map<string, number>();
  for (const value of jobs.flatMap((job) => [...job.labels].map(format)))
    counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts]
    .filter(([value]) => value.startsWith(prefix))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([value, count]) => ({ value, remark: count === 1 ? "1 job" : `${count} jobs` }));
}

function describe(job: Job): string {
  const age = formatDuration(Math.max(0, now() - job.startedAt) / 1000);
  return `${job.status}, started ${age} ago`;
}
