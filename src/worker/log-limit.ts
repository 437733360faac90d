/** What a worker does when a log of its job reaches its limit: records it, and ends the job if it was told to. */
import type { Job } from "../job/job.ts";
import { now } from "../linux/clock.ts";
import type { RetryingStore } from "../state/retrying-store.ts";
import type { PipedOutput } from "./output.ts";

export interface LogLimitStage {
  readonly retryingStore: RetryingStore;
  /** The job as last known. */
  readonly memory: { job: Job };
  readonly piped: PipedOutput;
  /** Ends the job. */
  readonly stop: () => void;
  /** Called after each access to the store. */
  readonly settle: () => void;
}

export class LogLimit {
  constructor(readonly stage: LogLimitStage) {
    const { piped, memory, stop, settle } = stage;
    piped.onLimit = () => {
      if (memory.job.limits.onLogLimit === "end") stop();
      if (memory.job.logLimitAt === null) void this.#record(null).then(settle);
    };
  }

  /** The command has ended, and its logs have their end: records how much is missing. */
  async finish(): Promise<void> {
    const { piped } = this.stage;
    piped.onLimit = undefined;
    if (piped.dropped > 0) await this.#record(piped.dropped);
  }

  async #record(bytes: number | null): Promise<void> {
    const { memory, retryingStore } = this.stage;
    const at = now();
    memory.job = { ...memory.job, logLimitAt: memory.job.logLimitAt ?? at, logDroppedBytes: bytes };
    const { jobId, logDroppedBytes } = memory.job;
    await retryingStore.write((store) => store.recordLogLimit(jobId, logDroppedBytes, at));
  }
}
