/** `run`: the command itself, made safe to retry. Starts or attaches, shows the whole output, and ends as the command does. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { ERRNO, SystemError } from "../linux/ffi/call.ts";
import { getVariable } from "../linux/ffi/environment.ts";
import { isContainersCommand } from "../linux/self.ts";
import { onInterruption } from "../linux/signals.ts";
import type { Context } from "../state/context.ts";
import { acceptJob } from "./accept.ts";
import { describeAfterLeaving } from "./after-leaving.ts";
import { followJob } from "./follow.ts";
import type { RunSignals } from "./run-in-unit.ts";
import { isSameCommand, type StartRequest } from "./start-request.ts";
import { warnAboutUnreadInput } from "./start.ts";

export interface RunResult {
  readonly job: Job;
  /** The signal that made us leave before the job's end; undefined: we saw it end. */
  readonly detachedBy: number | undefined;
  /** We have ended the job, because its unit was being stopped and it went on. */
  readonly hasKilled: boolean;
}

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
  const { existing, job, warnings } = await acceptJob(context, store, request, true, listen);
  listen();
  for (const warning of warnings) context.notify(warning);
  // What `command_matches` tells the callers of start: its code would be taken for that of the command asked for.
  if (existing && !isSameCommand(job, request))
    context.notify(
      `this is job ${job.jobId}, whose command is not the one asked for; see it: orchesjob status --job-id ${job.jobId}`,
    );
  const isTold = warnAboutUnreadInput(context, request);
  const routes = [
    { stream: "stdout", descriptor: output.stdout, from: 0 },
    { stream: "stderr", descriptor: output.stderr, from: 0 },
  ] as const;
  let detachedBy: number | undefined;
  let signals: RunSignals | undefined;
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
    // The result is known all the same, and is what a scheduler asks for.
    onGone: (message: string) => context.notify(message),
  };
  const ended = await followJob(context, store, job, routes, control).catch((error: unknown) => {
    throw notShown(context, job, error);
  });
  // Somebody may have been slower than the command.
  if (!isTold) warnAboutUnreadInput(context, request);
  // INVOCATION_ID: what systemd gives to each process of a unit, systemd.exec(5).
  if (detachedBy === undefined && (getVariable("INVOCATION_ID") !== "" || endsContainer)) {
    // Where the unit is being stopped there is time until systemd kills it; otherwise whoever signals us wants us to go.
    const shouldStop = () => heard.size > 0 || signals?.isTimeOver === true;
    await (await import("./worker-exit.ts")).awaitWorkerExit(context, ended, endsContainer, shouldStop);
  }
  return { job: ended, detachedBy, hasKilled: signals?.hasKilled === true };
}

/** Our own output cannot be written (a full disk, say): that is no word about the job. */
function notShown(context: Context, job: Job, error: unknown): unknown {
  if (!(error instanceof SystemError) || error.errno === ERRNO.EPIPE) return error;
  const { jobId } = job;
  return new OrchesjobError(
    "general",
    `${error.message}, so its output is not shown any more; job ${jobId} ${describeAfterLeaving(context, job)}`,
    `see it again: orchesjob logs --follow --job-id ${jobId}`,
  );
}
