/** `run`: the command itself, made safe to retry. Starts or attaches, shows the whole output, and ends as the command does. */
import type { Job } from "../job/job.ts";
import { onInterruption } from "../os/signals.ts";
import type { Context } from "./context.ts";
import { followJob } from "./follow.ts";
import { acceptJob, type StartRequest } from "./start.ts";

export interface RunResult {
  readonly job: Job;
  /** The signal that made us leave before the job's end; undefined: we saw it end. */
  readonly detachedBy: number | undefined;
}

export async function runJob(
  context: Context,
  request: StartRequest,
  output: { readonly stdout: number; readonly stderr: number },
): Promise<RunResult> {
  const store = context.createStore();
  let detachedBy: number | undefined;
  // Whatever is sent to us is about watching: the job goes on.
  onInterruption((signal) => (detachedBy ??= signal));
  const { job, warnings } = await acceptJob(context, store, request, true);
  for (const warning of warnings) context.notify(warning);
  const routes = [
    { stream: "stdout", descriptor: output.stdout, from: 0 },
    { stream: "stderr", descriptor: output.stderr, from: 0 },
  ] as const;
  const ended = await followJob(context, store, job, routes, () => detachedBy !== undefined);
  return { job: ended, detachedBy };
}
