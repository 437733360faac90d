/** Finds jobs by id, by a unique prefix of it, or as one of a run key, and reconciles what it finds. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { isJobId, type JobSelector, meaningsOf, type NamedJob } from "../job/request.ts";
import { commandLine, optionWords } from "../job/shell-word.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "../state/context.ts";
import { isThere } from "../linux/stat.ts";
import { restoreUnknownJobs } from "./restore-unknown-jobs.ts";
import { reconcile, reconcileAll } from "./reconcile.ts";

/** Throws `not-found`, and `usage` for an ambiguous id. */
export async function findJob(
  context: Context,
  selector: JobSelector,
): Promise<{ store: JobStore; job: Job }> {
  const store = context.openStore();
  if (store === undefined) throw notFound(context, selector);
  return { store, job: await findIn(context, store, selector) };
}

/** As findJob, in a store that is open. */
export async function findIn(context: Context, store: JobStore, selector: JobSelector): Promise<Job> {
  // Most calls name a job in one way, and a loop takes 100,000 instructions more.
  if (!("word" in selector)) {
    const job = await findNamed(context, store, selector);
    if (job !== undefined) return job;
  } else
    for (const meaning of meaningsOf(selector.word)) {
      const job = await findNamed(context, store, meaning);
      if (job !== undefined) return job;
    }
  throw notFound(context, selector, await hintAtNumbers(store, selector));
}

/** If it is the number that is wrong: the numbers that there are. */
async function hintAtNumbers(store: JobStore, selector: JobSelector): Promise<string | undefined> {
  for (const meaning of "word" in selector ? meaningsOf(selector.word) : [selector]) {
    if (!("runKey" in meaning) || meaning.attemptNo === undefined) continue;
    const newest = await store.latest(meaning.runKey);
    if (newest === undefined) continue;
    const all = commandLine(["status", ...optionWords("--run-key", newest.runKey), "--all"]);
    return `the newest job of ${JSON.stringify(newest.runKey)} is number ${newest.attemptNo}; all of them: ${all}`;
  }
  return undefined;
}

async function findNamed(context: Context, store: JobStore, selector: NamedJob): Promise<Job | undefined> {
  const look = async () => {
    const job = await findHere(store, selector);
    return job && reconcile(context, store, job);
  };
  const found = await look();
  // An active job is the answer, because a key has only one; so is a job found by id. Otherwise the store may lack a newer one,
  // or, by its number, another member may have a job with the same.
  const isAnswer =
    found !== undefined && (isActive(found.status) || "jobId" in selector) && !isNumbered(selector);
  const here = isAnswer || (await restoreUnknownJobs(context, store)) === 0 ? found : await look();
  const fleet = isAnswer ? undefined : context.openFleet();
  if (fleet === undefined) return here;
  return (await import("./elsewhere.ts")).findElsewhere(context, await fleet, selector, {
    ...{ here, store, name: nameOf(selector) },
  });
}

const isNumbered = (selector: NamedJob) => "runKey" in selector && selector.attemptNo !== undefined;

/** The job that is meant, in this state directory, as it was recorded. Throws `usage` for an ambiguous id. */
export async function findHere(store: JobStore, selector: NamedJob): Promise<Job | undefined> {
  if ("runKey" in selector) {
    const { runKey, attemptNo } = selector;
    return attemptNo === undefined ? store.latest(runKey) : store.numbered(runKey, attemptNo);
  }
  if (!isJobId(selector.jobId)) return undefined;
  return (await store.find(selector.jobId)) ?? findByBeginning(store, selector.jobId);
}

/** Length of a whole id, which is not looked up as a prefix again. */
const ID_LENGTH = 36;

/** A shorter prefix is taken for a typing error. Ids begin with the time, so the first characters of recent jobs are the same. */
const SHORTEST_BEGINNING = 4;

/** How many candidates the error for an ambiguous prefix lists. */
const SHOWN = 5;

/** The only job whose id begins like this; undefined if there is none. Throws `usage` if there are several. */
async function findByBeginning(store: JobStore, beginning: string): Promise<Job | undefined> {
  if (beginning.length >= ID_LENGTH || beginning.length < SHORTEST_BEGINNING) return undefined;
  const jobs = await store.jobsById(beginning, SHOWN + 1);
  if (jobs.length < 2) return jobs[0];
  const shown = jobs.slice(0, SHOWN).map((job) => `${job.jobId} (${JSON.stringify(job.runKey)})`);
  throw new OrchesjobError(
    "usage",
    `several job ids begin with ${JSON.stringify(beginning)}: ${shown.join(", ")}${jobs.length > SHOWN ? ", …" : ""}`,
    "give more characters of the one that you mean",
  );
}

/** All jobs of a run key, newest first. Throws `not-found` if there is none. */
export async function findHistory(context: Context, runKey: string): Promise<readonly Job[]> {
  const store = context.openStore();
  if (store !== undefined) await restoreUnknownJobs(context, store);
  const fleet = await context.openFleet();
  const here = store === undefined ? [] : await store.history(runKey);
  const jobs =
    fleet === undefined
      ? here
      : (await import("./elsewhere.ts")).merge(fleet, here, await fleet.history(runKey));
  if (store === undefined || jobs.length === 0) throw notFound(context, { runKey });
  return reconcileAll(context, store, jobs);
}

function notFound(context: Context, selector: JobSelector, hint?: string): OrchesjobError {
  const { path, fleet } = context.home;
  // Whoever gets here has asked the registry: it throws if it cannot be asked.
  const isMember = isThere(fleet);
  return new OrchesjobError(
    "not-found",
    `no ${nameOf(selector)} in ${path}${isMember ? ", nor in the registry of its fleet" : ""}`,
    isMember
      ? "what the fleet knows: orchesjob list --fleet"
      : (hint ?? "was it started with the same ORCHESJOB_HOME?"),
  );
}

/** For messages, as in `no job of run key "k"`. */
export function nameOf(selector: JobSelector): string {
  if ("word" in selector) return `run key or job id ${JSON.stringify(selector.word)}`;
  if ("jobId" in selector) return `job ${JSON.stringify(selector.jobId)}`;
  const number = selector.attemptNo === undefined ? "" : `${selector.attemptNo} `;
  return `job ${number}of run key ${JSON.stringify(selector.runKey)}`;
}
