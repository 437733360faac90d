/**
 * Tells readers of events what changes. One timer serves all of them, and runs only while there is one: it asks the database
 * whether another process has changed it, which reads no row, and looks at the sizes of the logs that somebody follows.
 */
import { isHookDue } from "../job/hook.ts";
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { OrchesjobError } from "../job/errors.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { statName } from "../linux/stat.ts";
import { LOG_STREAMS, logFiles } from "../state/paths.ts";
import type { Run } from "../store/figures.ts";
import { debug } from "../state/debug.ts";
import type { Listener } from "./reply.ts";
import type { Viewer } from "./viewer.ts";

const TICK_MS = 500;
/** A worker that is killed changes no database: how often to look whether it lives, in ticks. */
const LOOK_EVERY = 6;
/** Most jobs that one tick reports; the rest follows in the next. */
const MOST = 500;

/** Sends what readers see. */
export interface Presenting {
  job(job: Job): Promise<unknown>;
  run(run: Run): unknown;
}

/** What one reader follows. Returns false when there is nothing more to say. */
type Follower = (hasChanged: boolean) => Promise<boolean>;

export class Changes {
  readonly #followers = new Map<Follower, Listener>();
  #timer: Timer | undefined;
  #ticks = 0;
  #version = -1;
  #isBusy = false;
  /** Followers that are looking right now. */
  readonly #looking = new Set<Follower>();

  constructor(
    readonly viewer: Viewer,
    readonly presenting: Presenting,
  ) {}

  /** Jobs that start and end: events `started` and `ended`. */
  followAll(listener: Listener): () => void {
    let position: number | undefined;
    const active = new Map<string, Job>();
    return this.#follow(listener, async (hasChanged) => {
      const figures = await this.viewer.figures();
      if (figures === undefined) return true;
      if (position === undefined) {
        position = await figures.lastPosition();
        for (const job of await this.viewer.active()) active.set(job.jobId, job);
        listener.send("ready", {});
        return true;
      }
      if (!hasChanged) return true;
      const last = await figures.lastPosition();
      if (last < position) {
        // The newest jobs were cleaned, or another database was put there: the next job may get a position that we have seen.
        position = last;
        listener.send("ready", {});
      }
      const accepted = await figures.acceptedAfter(position, MOST);
      ({ position } = accepted);
      const now = new Map((await this.viewer.active()).map((job) => [job.jobId, job]));
      for (const run of accepted.runs) {
        listener.send("started", this.presenting.run({ ...run, endedAt: null, status: "RUNNING" }));
        if (!isActive(run.status)) listener.send("ended", this.presenting.run(run));
      }
      for (const [jobId, job] of active) {
        const known = now.get(jobId);
        if (known !== undefined && isActive(known.status) === isActive(job.status)) continue;
        active.delete(jobId);
        const ended = known ?? (await this.#find(jobId));
        if (ended !== undefined && !isActive(ended.status) && isActive(job.status))
          listener.send("ended", this.presenting.run({ ...ended, endedAt: ended.finishedAt }));
      }
      for (const [jobId, job] of now) active.set(jobId, job);
      return true;
    });
  }

  /** One job: events `job` when a field changes, `log` when a log grows, `end` when it has ended. */
  followJob(listener: Listener, jobId: string): () => void {
    let last = "";
    let sizes = "";
    return this.#follow(listener, async (hasChanged) => {
      if (hasChanged || last === "") {
        const job = await this.#find(jobId);
        if (job === undefined) {
          listener.send("gone", {});
          return false;
        }
        const state = JSON.stringify(job, (_, value) => (value instanceof Map ? [...value] : value));
        if (state !== last) listener.send("job", await this.presenting.job(job));
        last = state;
        // Before the last look at the logs: what is there after the end is complete.
        if (!isActive(job.status) && !isHookDue(job)) {
          this.#sendSizes(listener, jobId, "");
          listener.send("end", {});
          return false;
        }
      }
      sizes = this.#sendSizes(listener, jobId, sizes);
      return true;
    });
  }

  #sendSizes(listener: Listener, jobId: string, before: string): string {
    const paths = logFiles(this.viewer.context.home, jobId);
    const found = Object.fromEntries(LOG_STREAMS.map((stream) => [stream, sizeOf(paths[stream])]));
    const sizes = JSON.stringify(found);
    if (sizes !== before) listener.send("log", found);
    return sizes;
  }

  async #find(jobId: string): Promise<Job | undefined> {
    try {
      return await this.viewer.job(jobId);
    } catch (error) {
      if (error instanceof OrchesjobError && error.code === "not-found") return undefined;
      throw error;
    }
  }

  #follow(listener: Listener, follower: Follower): () => void {
    this.#followers.set(follower, listener);
    this.#timer ??= setInterval(() => void this.#tick(), TICK_MS);
    void this.#run(follower, true);
    return () => {
      this.#followers.delete(follower);
      if (this.#followers.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  }

  async #tick(): Promise<void> {
    // The one before still reads.
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      this.#ticks += 1;
      const version = (await (await this.viewer.figures())?.version()) ?? -1;
      const hasChanged = version !== this.#version || this.#ticks % LOOK_EVERY === 0;
      this.#version = version;
      for (const follower of [...this.#followers.keys()]) await this.#run(follower, hasChanged);
    } catch (error) {
      // The database is locked or being replaced: the next tick looks again.
      debug?.note("cannot look for changes", error);
    } finally {
      this.#isBusy = false;
    }
  }

  async #run(follower: Follower, hasChanged: boolean): Promise<void> {
    const listener = this.#followers.get(follower);
    if (listener === undefined || this.#looking.has(follower)) return;
    this.#looking.add(follower);
    try {
      if (!(await follower(hasChanged))) listener.end();
    } catch (error) {
      if (!(error instanceof OrchesjobError) && !(error instanceof SystemError)) throw error;
      debug?.note("cannot follow", error);
    } finally {
      this.#looking.delete(follower);
    }
  }
}

/** 0 if it is not there yet, or something else is. */
function sizeOf(path: string): number {
  const facts = statName(path);
  return facts?.kind === "file" ? facts.size : 0;
}
