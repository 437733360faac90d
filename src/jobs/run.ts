/** `run`: starts a job or attaches to it, copies its whole output, and returns when it has ended. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { ERRNO, SystemError } from "../linux/ffi/call.ts";
import { getVariable } from "../linux/ffi/environment.ts";
import { isContainersCommand } from "../linux/self.ts";
import { onInterruption } from "../linux/signals.ts";
import type { Context } from "../state/context.ts";
import type { JobStore } from "../store/store.ts";
import { acceptJob } from "./accept.ts";
import { describeAfterLeaving } from "./after-leaving.ts";
import { findEarlierAttempts } from "./attempts.ts";
import { followRun } from "./follow-run.ts";
import type { RunSignals } from "./run-in-unit.ts";
import { isSameCommand, type StartRequest } from "./start-request.ts";
import { isFinished, warnAboutUnreadInput } from "./start.ts";

export interface RunResult {
  readonly job: Job;
  /** The signal that made `run` leave before the job's end; undefined if it saw the end. */
  readonly detachedBy: number | undefined;
  /** Whether `run` has ended the job, because its unit was being stopped and the command did not end. */
  readonly hasKilled: boolean;
  /** Whether a log of a job that was there already was deleted or truncated before it was copied. */
  readonly isIncomplete: boolean;
}

/** Starts a job or attaches to one, and follows it. Throws OrchesjobError; SystemError EPIPE if a reader has gone. */
export async function runJob(
  context: Context,
  request: StartRequest,
  output: { readonly stdout: number; readonly stderr: number },
): Promise<RunResult> {
  const endsContainer = isContainersCommand();
  const store = context.createStore();
  const heard = new Set<number>();
  let isListening = false;
  const listen = () => {
    if (!isListening) onInterruption((signal) => heard.add(signal));
    isListening = true;
  };
  const fleet = context.openFleet();
  const keys = fleet === undefined ? store : (await fleet).keys(store);
  const { existing, job, warnings } = await acceptJob(context, { store, keys }, request, true, listen);
  listen();
  for (const warning of warnings) context.notify(warning);
  // Says what `command_matches` says for start: the exit code is not that of the command asked for.
  if (existing && !isSameCommand(job, request))
    context.notify(
      `this is job ${job.jobId}, whose command is not the one asked for; see it: orchesjob status --job-id ${job.jobId}`,
    );
  const hasWarned = warnAboutUnreadInput(context, request);
  const routes = [
    { stream: "stdout", descriptor: output.stdout, from: 0 },
    { stream: "stderr", descriptor: output.stderr, from: 0 },
  ] as const;
  let detachedBy: number | undefined;
  let signals: RunSignals | undefined;
  let isIncomplete = false;
  const control = {
    async isLeaving(current: Job) {
      if (heard.size > 0)
        signals ??= new (await import("./run-in-unit.ts")).RunSignals(context, !existing, endsContainer);
      for (const signal of heard) {
        heard.delete(signal);
        if (signals?.leavesOn(signal, current) === true) detachedBy ??= signal;
      }
      await signals?.enforce(current);
      return detachedBy !== undefined;
    },
    restMs: () => signals?.restMs ?? Number.POSITIVE_INFINITY,
    onMissing(message: string) {
      context.notify(message);
      // Of a job of our own we have the result, and a scheduler needs it.
      isIncomplete ||= existing;
    },
  };
  if (job.elsewhere !== undefined) {
    const interruption = {
      get signal() {
        return (detachedBy ??= [...heard][0]);
      },
    };
    const { describeOutput, waitElsewhere } = await import("./elsewhere.ts");
    context.notify(describeOutput(job));
    const seen = await waitElsewhere(context, job, isFinished, Number.POSITIVE_INFINITY, interruption);
    return {
      job: seen,
      detachedBy: isFinished(seen) ? undefined : detachedBy,
      hasKilled: false,
      isIncomplete,
    };
  }
  const attempts = existing ? await wholeRun(context, store, job) : [job];
  const ended = await followRun(context, store, attempts, routes, control, (attempt, error) =>
    notShown(context, attempt, error),
  );
  // Again: the writer to stdin may have been slower than the command.
  if (!hasWarned) warnAboutUnreadInput(context, request);
  // systemd sets INVOCATION_ID for each process of a unit: systemd.exec(5).
  if (detachedBy === undefined && (getVariable("INVOCATION_ID") !== "" || endsContainer)) {
    // If the unit is being stopped, there is time until systemd kills it. Otherwise a signal means: exit now.
    const shouldStop = () => heard.size > 0 || signals?.isTimeOver === true;
    await (await import("./worker-exit.ts")).awaitWorkerExit(context, ended, endsContainer, shouldStop);
  }
  return { job: ended, detachedBy, hasKilled: signals?.hasKilled === true, isIncomplete };
}

/** All attempts of a run up to a job, because the output of the run begins with the first; says how many are missing. */
async function wholeRun(context: Context, store: JobStore, job: Job): Promise<readonly Job[]> {
  if (job.retry === null) return [job];
  const attempts = [...(await findEarlierAttempts(store, job)), job];
  const missing = attempts[0]!.retry!.number;
  if (missing > 0)
    context.notify(
      `the output of the first ${missing === 1 ? "attempt" : `${missing} attempts`} is missing: clean has deleted ${missing === 1 ? "it" : "them"}`,
    );
  return attempts;
}

/** Turns an error of writing run's own output (e.g. a full disk) into one that says what becomes of the job. */
function notShown(context: Context, job: Job, error: unknown): unknown {
  if (!(error instanceof SystemError) || error.errno === ERRNO.EPIPE) return error;
  const { jobId } = job;
  return new OrchesjobError(
    "general",
    `${error.message}, so the output is no longer shown; job ${jobId} ${describeAfterLeaving(context, job)}`,
    `see it again: orchesjob logs --follow --job-id ${jobId}`,
  );
}
