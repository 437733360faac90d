/** What a worker does when its job stalls: records it, and ends the job or runs the command of --on-stall. */
import { runStallHook } from "../hooks/stall.ts";
import { CANCEL_ON_STALL, stallCommand } from "../job/limits.ts";
import type { Instant, Job } from "../job/job.ts";
import { now } from "../linux/clock.ts";
import { becomeLastToKill, becomeOrdinary } from "../linux/oom-score.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { type LastOutput, findLastOutput } from "../state/last-output.ts";
import type { RetryingStore } from "../state/retrying-store.ts";
import { WORKER_DIRECTORY_FD } from "./spawn.ts";
import { StallWatch } from "./stall-watch.ts";
import type { TargetSettings } from "./target.ts";

export interface StallStage {
  readonly context: Context;
  readonly retryingStore: RetryingStore;
  /** The job as last known. */
  readonly memory: { job: Job };
  readonly settings: TargetSettings;
  readonly describe: (job: Job, last?: LastOutput) => string;
  /** See StallEvents. */
  readonly catchUp: () => boolean;
  /** Ends the job. */
  readonly stop: () => void;
  /** Called after each access to the store. */
  readonly settle: () => void;
}

export class Stall {
  readonly #watch: StallWatch;
  #hook: Promise<void> | undefined;
  #recorded: Promise<void> | undefined;
  #isOver = false;

  constructor(
    readonly stage: StallStage,
    stallAfterMs: number,
  ) {
    const { context, memory, catchUp, stop } = stage;
    this.#watch = new StallWatch(context.home, memory.job.jobId, stallAfterMs, {
      catchUp,
      stalled: (since) => {
        const recorded = this.#record(since);
        const { limits } = memory.job;
        const command = stallCommand(limits);
        if (limits.onStall === CANCEL_ON_STALL) {
          // What the command says about its end does not change why it was ended.
          this.#watch.end();
          stop();
        } else if (command !== undefined) void recorded.then(() => this.#run(command));
      },
      resumed: () => void this.#record(null),
    });
  }

  /** Looks whether output has come since, once the command has ended by itself; resolves when that is recorded. */
  async finish(): Promise<void> {
    this.#watch.finish();
    await this.#recorded;
  }

  /** Stops watching. Resolves when the command of --on-stall, if it runs, has ended. */
  async end(): Promise<void> {
    this.#isOver = true;
    this.#watch.end();
    await this.#hook;
  }

  #record(since: Instant | null): Promise<void> {
    return (this.#recorded = this.#write(since));
  }

  async #write(since: Instant | null): Promise<void> {
    const { memory, retryingStore, settle } = this.stage;
    memory.job = { ...memory.job, stalledSince: since };
    // The latest, if several are on their way.
    await retryingStore.write((store) => store.recordStall(memory.job.jobId, memory.job.stalledSince, now()));
    settle();
  }

  #run(command: string): void {
    if (this.#isOver) return;
    if (this.#hook !== undefined) {
      debug?.note("the command of --on-stall still runs for an earlier stall");
      return;
    }
    const { context, memory, settings } = this.stage;
    const describe = (job: Job) => this.stage.describe(job, findLastOutput(context.home, job));
    const { fileLimit, directory = WORKER_DIRECTORY_FD } = settings;
    // The command would inherit the score.
    becomeOrdinary();
    this.#hook = runStallHook({ context, describe, settings: { fileLimit, directory } }, memory.job, command)
      .catch((error: unknown) => debug?.note("cannot run the command of --on-stall", error))
      .finally(() => (this.#hook = undefined));
    if (memory.job.unit !== null) becomeLastToKill();
  }
}
