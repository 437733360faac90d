/** Waits for several jobs at once, by sleeping on all their lock files. Only a job that may have ended is looked at again. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { turn } from "../linux/clock.ts";
import { findEventLoop, type Interruption } from "../linux/signals.ts";
import type { Context } from "../state/context.ts";
import { LockWatch } from "../state/job-lock.ts";
import { lockFilePath } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";
import { findLastAttempt, findNextAttempt } from "./attempts.ts";
import { refresh } from "./reconcile.ts";
import { isFinished } from "./start.ts";
import { waitForJob } from "./wait.ts";

/** How many lock files are open at once. Of more jobs, the next are watched when others have ended. */
const WATCHED = 1_000;

/** How often to look at a job that cannot be watched: of another host, in ms. */
const ELSEWHERE_MS = 2_000;

interface Awaited {
  job: Job;
  watch: LockWatch | undefined;
  /** When to look again, on the clock of performance.now(). */
  lookAt: number;
}

/**
 * Waits until all of the jobs have ended, or (`any`) one of them, at most `timeoutMs`, or until a signal comes. Returns them as
 * they are then, in their order. A job that has failed and is followed by another attempt stands for that one, as in waitForJob.
 * Throws `not-found` if one was deleted.
 */
export async function waitForJobs(
  context: Context,
  store: JobStore,
  jobs: readonly Job[],
  until: "all" | "any",
  timeoutMs: number,
  interruption?: Interruption,
): Promise<readonly Job[]> {
  if (jobs.length === 1)
    return [await waitForJob(context, store, jobs[0]!, isFinished, timeoutMs, interruption)];
  const deadline = performance.now() + timeoutMs;
  const awaited: readonly Awaited[] = jobs.map((job) => ({ job, watch: undefined, lookAt: 0 }));
  const signals = interruption === undefined ? [] : [findEventLoop()];
  const look = new Look(context, store);
  try {
    for (;;) {
      const pending: Awaited[] = [];
      for (const each of awaited) {
        // All must end, so it does not matter which of them are watched first.
        if (until === "all" && pending.length >= WATCHED) break;
        if (each.lookAt <= performance.now()) await look.at(each, pending.length < WATCHED);
        if (!isFinished(each.job)) pending.push(each);
      }
      const now = performance.now();
      const isOver = pending.length === 0 || (until === "any" && pending.length < awaited.length);
      if (isOver || now >= deadline) break;
      // Signals that came since the last check would not end the sleep.
      if (interruption !== undefined) await turn();
      if (interruption?.signal !== undefined) break;
      store.disconnect();
      const next = pending.reduce((soonest, { lookAt }) => Math.min(soonest, lookAt), deadline);
      const watched = pending.filter(({ watch }) => watch !== undefined);
      const watches = watched.map(({ watch }) => watch!);
      const gone = LockWatch.waitForAny(watches, Math.max(1, next - now), signals);
      for (const each of watched) if (gone.has(each.watch!)) each.lookAt = 0;
    }
    return awaited.map(({ job }) => job);
  } finally {
    for (const { watch } of awaited) watch?.close();
  }
}

class Look {
  #hasWarned = false;

  constructor(
    readonly context: Context,
    readonly store: JobStore,
  ) {}

  async at(each: Awaited, mayWatch: boolean): Promise<void> {
    const { context, store } = this;
    if (each.job.elsewhere !== undefined) return this.#elsewhere(each);
    for (;;) {
      // Before the look: then no change is missed.
      if (mayWatch) each.watch ??= new LockWatch(lockFilePath(context.home, each.job.jobId));
      each.job = await refresh(context, store, each.job);
      const next = await findNextAttempt(context, store, each.job);
      if (next === undefined) break;
      each.job = next;
      each.watch?.close();
      each.watch = undefined;
    }
    each.lookAt = performance.now() + (each.watch?.slowCheckMs ?? ELSEWHERE_MS);
    if (isFinished(each.job)) each.watch?.close();
  }

  async #elsewhere(each: Awaited): Promise<void> {
    const { context, store } = this;
    try {
      each.job = await findLastAttempt(context, store, await refresh(context, store, each.job));
      this.#hasWarned = false;
    } catch (error) {
      // The job goes on, whatever becomes of the registry.
      if (!(error instanceof OrchesjobError) || error.code !== "locked") throw error;
      if (!this.#hasWarned) context.notify(`${error.what}; still waiting`);
      this.#hasWarned = true;
    }
    each.lookAt = performance.now() + ELSEWHERE_MS;
  }
}
