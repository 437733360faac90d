/** Reads what `top` shows. The database is read again only when somebody has written to it; what jobs write is looked at. */
import { OrchesjobError } from "../../job/errors.ts";
import type { Job } from "../../job/job.ts";
import { isActive } from "../../job/status.ts";
import type { Usual } from "../../job/usual.ts";
import { reconcileAll } from "../../jobs/reconcile.ts";
import { restoreUnknownJobs } from "../../jobs/restore-unknown-jobs.ts";
import { now } from "../../linux/clock.ts";
import { SystemError } from "../../linux/ffi/call.ts";
import { type FileStat, statPath } from "../../linux/stat.ts";
import type { Context } from "../../state/context.ts";
import { findLastOutput, type LastOutput } from "../../state/last-output.ts";
import type { Run } from "../../store/figures.ts";
import type { JobStore } from "../../store/store.ts";
import { type Data, isStalled, type Row } from "./model.ts";
import { EVERYTHING, type Found, RegistryView } from "./registry-view.ts";

/** How many ended jobs are read: some pages of them; with a filter, as many as may hold what somebody looks for. */
export const USUAL_LIMIT = 200;
export const SEARCH_LIMIT = 2_000;

const MOST_RUNS = 500;
/** A file system may give two writes within this time the same time stamp. */
const CLOCK_TICK_MS = 50;

export class Source {
  #store: JobStore | undefined;
  #stamp = "";
  #here: Found = { active: [], ended: [] };
  #limit = 0;
  #usual = new Map<string, { readonly newest: string | undefined; readonly usual: Usual | undefined }>();
  #lastOutputs = new Map<string, LastOutput>();
  #problem: string | undefined;
  #revision = 0;
  readonly #registry: RegistryView;

  constructor(
    readonly context: Context,
    /** Called when there is news that nobody has asked for. */
    readonly onNews: () => void,
  ) {
    this.#registry = new RegistryView(context, onNews);
  }

  /** Opens the store, if there is one. Throws OrchesjobError. */
  async open(): Promise<void> {
    this.#store = this.context.openStore();
    if (this.#store !== undefined) await restoreUnknownJobs(this.context, this.#store);
  }

  /** Whether the database was written since the last `read`. Two system calls. */
  hasChanged(): boolean {
    // What cannot be read now is tried with the next step.
    return this.#problem === undefined && this.#stamp !== "" && this.#readStamp() !== this.#stamp;
  }

  /** `limit`: of the ended jobs. What cannot be read stays as it was, and the answer says so. */
  async read(limit: number): Promise<Data> {
    let problem: string | undefined;
    await ifReadable(
      () => this.#readHere(limit),
      (message) => (problem = message),
    );
    this.#problem = problem;
    const there = this.#registry.found;
    this.#registry.refresh(limit);
    const active = [...this.#here.active, ...there.active];
    const ended = there.ended.length === 0 ? this.#here.ended : newestEnds(this.#here.ended, there.ended);
    return {
      at: now(),
      revision: this.#revision + this.#registry.revision,
      place: this.context.home.path,
      active: active.map((job) => this.#toRow(job)).sort(byUrgency),
      ended: ended.slice(0, limit).map((job) => this.#toRow(job)),
      members: this.#registry.members,
      problem: this.#problem ?? this.#registry.problem,
    };
  }

  /** The job as it is now; undefined if it was deleted. */
  async find(jobId: string): Promise<Job | undefined> {
    const isKnown = (job: Job) => job.jobId === jobId;
    const { active, ended } = this.#here;
    const there = this.#registry.found;
    return (
      active.find(isKnown) ??
      ended.find(isKnown) ??
      (await this.#store?.find(jobId)) ??
      there.active.find(isKnown) ??
      there.ended.find(isKnown)
    );
  }

  async history(
    runKey: string,
  ): Promise<{ readonly runs: readonly Run[]; readonly usual: Usual | undefined }> {
    const figures = await this.#store?.figures();
    const wanted = { runKey, from: 0, to: Number.MAX_SAFE_INTEGER, limit: MOST_RUNS };
    const here = (await figures?.runs(wanted)) ?? [];
    const there = await this.#registry.history(runKey);
    const runs = [...here, ...there].sort((a, b) => b.startedAt - a.startedAt).slice(0, MOST_RUNS);
    return { runs, usual: (await figures?.usual([runKey]))?.get(runKey) };
  }

  async close(): Promise<void> {
    await this.#registry.close();
  }

  async #readHere(limit: number): Promise<void> {
    const store = (this.#store ??= this.context.openStore());
    if (store === undefined) return;
    let { active, ended } = this.#here;
    // Before the reading: what is written meanwhile is read the next time.
    const stamp = this.#readStamp();
    if (stamp !== this.#stamp || limit !== this.#limit) {
      active = await store.active();
      ended = await store.list({ ...EVERYTHING, statuses: [], limit, order: "ended" });
      await this.#readUsual(store, active, ended);
      this.#stamp = stamp;
      this.#limit = limit;
      this.#revision += 1;
    }
    // Also if nothing was written: the worker of a job may have been killed.
    const seen = await reconcileAll(this.context, store, active);
    const lost = seen.filter(
      (job) => !isActive(job.status) && ended.every(({ jobId }) => jobId !== job.jobId),
    );
    this.#here = { active: seen.filter((job) => isActive(job.status)), ended: [...lost, ...ended] };
    this.#lastOutputs.clear();
    for (const job of this.#here.active) {
      const last = findLastOutput(this.context.home, job);
      if (last !== undefined) this.#lastOutputs.set(job.jobId, last);
    }
  }

  /** What is usual changes only when another job of the key has ended. */
  async #readUsual(store: JobStore, active: readonly Job[], ended: readonly Job[]): Promise<void> {
    const newest = new Map<string, string | undefined>();
    for (const { runKey } of active) newest.set(runKey, undefined);
    for (const { runKey, jobId } of ended) if (newest.get(runKey) === undefined) newest.set(runKey, jobId);
    const outdated = [...newest].filter(([key, jobId]) => {
      const known = this.#usual.get(key);
      return known === undefined || known.newest !== jobId;
    });
    const found =
      outdated.length === 0 ? undefined : await (await store.figures()).usual(outdated.map(([key]) => key));
    for (const [key, jobId] of outdated) this.#usual.set(key, { newest: jobId, usual: found?.get(key) });
    for (const key of this.#usual.keys()) if (!newest.has(key)) this.#usual.delete(key);
  }

  #toRow(job: Job): Row {
    return { job, last: this.#lastOutputs.get(job.jobId), usual: this.#usual.get(job.runKey)?.usual };
  }

  #readStamp(): string {
    const { database } = this.context.home;
    const facts = [database, `${database}-wal`].map(statIfAny);
    const newest = Math.max(...facts.map((found) => found?.modifiedAt ?? 0));
    const isYoung = Math.abs(Date.now() - newest) < CLOCK_TICK_MS;
    return (
      facts.map((found) => `${found?.inode}:${found?.size}:${found?.modifiedAt}`).join() +
      (isYoung ? Date.now() : "")
    );
  }
}

/** Undefined if the database, or what belongs to it, cannot be read now: `onProblem` is told why. */
export async function ifReadable<T>(
  read: () => Promise<T>,
  onProblem: (message: string) => void,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof OrchesjobError) && !(error instanceof SystemError)) throw error;
    onProblem(error.message);
    return undefined;
  }
}

function statIfAny(path: string): FileStat | undefined {
  try {
    return statPath(path);
  } catch (error) {
    // Whoever reads the database says why.
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

function newestEnds(here: readonly Job[], there: readonly Job[]): readonly Job[] {
  const end = ({ finishedAt, startedAt }: Job) => finishedAt ?? startedAt;
  return [...here, ...there].sort((a, b) => end(b) - end(a));
}

function byUrgency(a: Row, b: Row): number {
  const order = Number(isStalled(b.job)) - Number(isStalled(a.job));
  return order !== 0 ? order : a.job.startedAt - b.job.startedAt;
}
