/** `start`: returns the job of the run key, or starts one, and waits until its command runs or has ended. */
import type { Job } from "../job/job.ts";
import { isAwaitingRetry } from "../job/retry.ts";
import { isActive } from "../job/status.ts";
import { now } from "../linux/clock.ts";
import { isInputOffered } from "../linux/offered-input.ts";
import { isContainersCommand } from "../linux/self.ts";
import type { Interruption } from "../linux/signals.ts";
import type { Context } from "../state/context.ts";
import type { JobStore } from "../store/store.ts";
import { type Acceptance, acceptJob } from "./accept.ts";
import { isSameCommand, type StartRequest } from "./start-request.ts";
import { waitForJob } from "./wait.ts";

/** What a start waits for before it answers. */
export type WaitMode =
  /** Until the command runs or cannot be launched, at most `timeoutMs`. */
  | { readonly until: "launched"; readonly timeoutMs: number }
  | { readonly until: "finished"; readonly interruption: Interruption };

export interface StartResult extends Acceptance {
  /** False if an existing job is returned whose command is not the one asked for. */
  readonly commandMatches: boolean;
}

/** Starts a job, or returns the existing one; waits as `waitMode` says. Throws OrchesjobError or SystemError. */
export async function startJob(
  context: Context,
  request: StartRequest,
  waitMode: WaitMode,
): Promise<StartResult> {
  const endsContainer = isContainersCommand();
  const store = context.createStore();
  const isSupervised = waitMode.until === "finished";
  const listen = () => isSupervised && waitMode.interruption.listen();
  const fleet = context.openFleet();
  const keys = fleet === undefined ? store : (await fleet).keys(store);
  const { existing, job, overrideUsed, warnings } = await acceptJob(
    context,
    { store, keys },
    request,
    isSupervised,
    listen,
  );
  listen();
  warnAboutUnreadInput(context, request);
  return {
    existing,
    overrideUsed,
    commandMatches: isSameCommand(job, request),
    job: await awaitJob(context, store, job, waitMode, endsContainer && !existing),
    warnings:
      endsContainer && !existing && waitMode.until === "launched" ? [...warnings, ENDS_WITH_US] : warnings,
  };
}

const ENDS_WITH_US =
  "this container ends with its first command, and the job ends with the container; use orchesjob run as that command";

/** Waits as `waitMode` says. `endsWithUs`: the job ends with this process, because its container does. */
async function awaitJob(
  context: Context,
  store: JobStore,
  job: Job,
  waitMode: WaitMode,
  endsWithUs: boolean,
): Promise<Job> {
  if (waitMode.until === "finished") {
    const { interruption } = waitMode;
    for (;;) {
      const seen = await waitForJob(context, store, job, isFinished, Number.POSITIVE_INFINITY, interruption);
      if (!endsWithUs) return seen;
      const { awaitWorkerExit, passOnInContainer } = await import("./worker-exit.ts");
      const { signal } = interruption;
      if (signal === undefined || isFinished(seen)) {
        await awaitWorkerExit(context, seen, true, () => interruption.signal !== undefined);
        return seen;
      }
      // The signal stops the container, so it is meant for the job, as with `run`.
      interruption.forget();
      passOnInContainer(context, seen, true, signal);
    }
  }
  if (waitMode.timeoutMs === 0) return job;
  return waitForJob(context, store, job, isLaunched, waitMode.timeoutMs);
}

export function isFinished(job: Job): boolean {
  return !isActive(job.status);
}

/** Whether the command has been launched, or never will be, or waits for the time of its next attempt. */
function isLaunched(job: Job): boolean {
  return isFinished(job) || job.target !== null || (isAwaitingRetry(job) && (job.retry?.at ?? 0) > now());
}

/** If the caller's stdin has data, says that the command does not get it; returns whether it said so. */
export function warnAboutUnreadInput(context: Context, { stdin, rerunOfJobId }: StartRequest): boolean {
  if (stdin !== null || rerunOfJobId !== null || !isInputOffered()) return false;
  context.notify("what is on stdin does not reach the command; to pass it on: --stdin -");
  return true;
}
