/**
 * Reads jobs for those who only look. Nothing here changes anything: the database is open for reading, and a job whose worker is
 * gone is shown as LOST but not recorded as such, because the next command that looks does that.
 */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { isJobId } from "../job/request.ts";
import { merge } from "../jobs/elsewhere.ts";
import { judge } from "../jobs/reconcile.ts";
import type { Context } from "../state/context.ts";
import type { Figures } from "../store/figures.ts";
import type { JobStore, ListFilter } from "../store/store.ts";

export class Viewer {
  #store: JobStore | undefined;
  #opening: Promise<JobStore | undefined> | undefined;
  #figures: Figures | undefined;

  constructor(readonly context: Context) {}

  /** Undefined as long as there is no database. Throws OrchesjobError. */
  async open(): Promise<JobStore | undefined> {
    if (this.#store !== undefined) return this.#store;
    // Once, however many ask at the same time.
    this.#opening ??= this.context.openReadOnly().finally(() => (this.#opening = undefined));
    return (this.#store ??= await this.#opening);
  }

  /** Undefined as long as there is no database. */
  async figures(): Promise<Figures | undefined> {
    return (this.#figures ??= await (await this.open())?.figures());
  }

  /** Newest first. */
  async list(filter: ListFilter): Promise<readonly Job[]> {
    const store = await this.open();
    if (store === undefined) return [];
    const jobs = await this.judge(await store.list(filter));
    const { statuses } = filter;
    return statuses.length === 0 ? jobs : jobs.filter((job) => statuses.includes(job.status));
  }

  /** Those of all members, newest first. Throws `not-found` if the state directory is in no fleet. */
  async listFleet(filter: ListFilter): Promise<readonly Job[]> {
    const fleet = await this.context.openFleet();
    if (fleet === undefined)
      throw new OrchesjobError("not-found", `the state directory ${this.context.home.path} is in no fleet`);
    const there = await fleet.list(filter);
    return merge(fleet, await this.list(filter), there).slice(0, filter.limit);
  }

  /** Oldest first. */
  async active(): Promise<readonly Job[]> {
    const store = await this.open();
    return store === undefined ? [] : this.judge(await store.active());
  }

  /** The job with exactly this id. Throws `not-found`. */
  async job(jobId: string): Promise<Job> {
    const store = await this.open();
    const job = isJobId(jobId) ? await store?.find(jobId) : undefined;
    if (store !== undefined && job !== undefined) return judge(this.context, store, job);
    const elsewhere = isJobId(jobId) ? await this.#elsewhere(jobId) : undefined;
    if (elsewhere !== undefined) return elsewhere;
    throw new OrchesjobError("not-found", `there is no job ${JSON.stringify(jobId)}`);
  }

  /** The newest job of a key in this state directory. Throws `not-found`. */
  async newest(runKey: string): Promise<Job> {
    const store = await this.open();
    const job = await store?.latest(runKey);
    if (store !== undefined && job !== undefined) return judge(this.context, store, job);
    throw new OrchesjobError("not-found", `there is no job of run key ${JSON.stringify(runKey)}`);
  }

  async judge(jobs: readonly Job[]): Promise<readonly Job[]> {
    const store = (await this.open())!;
    const judged: Job[] = [];
    for (const job of jobs) judged.push(await judge(this.context, store, job));
    return judged;
  }

  async #elsewhere(jobId: string): Promise<Job | undefined> {
    const [found] = (await (await this.context.openFleet())?.find(jobId, 1)) ?? [];
    return found?.jobId === jobId ? found : undefined;
  }
}
