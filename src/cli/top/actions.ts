/** What `top` does for a person: cancels a job, runs one again. Both say in one line what came of it. */
import { rerunJob } from "../../jobs/rerun.ts";
import { callersLimits, ownCommand } from "../../linux/caller.ts";
import { withLimits } from "../../linux/spawn.ts";
import type { Context } from "../../state/context.ts";
import type { Target } from "./model.ts";

const REASON = "from orchesjob top";
/** How long a key may wait until the command runs, in ms. */
const START_MS = 1_000;

/** Calls the command, because it waits for the end of the job, and other keys must not wait. */
export async function cancelInBackground({ jobId, runKey }: Target): Promise<string> {
  const [, ...own] = ownCommand();
  const command = ["/proc/self/exe", ...own, "cancel", "--job-id", jobId, "--reason", REASON];
  // It may start the hook of the job, which gets what our caller has set.
  const child = withLimits({ ...callersLimits(), fileLimit: undefined }, () =>
    Bun.spawn(command, { argv0: "orchesjob", stdin: "ignore", stdout: "ignore", stderr: "pipe" }),
  );
  const said = await new Response(child.stderr).text();
  const code = await child.exited;
  return code === 0 ? `Cancelled: ${runKey}` : `Not cancelled: ${firstLine(said)}`;
}

export async function rerun(context: Context, { jobId, runKey }: Target): Promise<string> {
  try {
    const { job, existing } = await rerunJob(
      context,
      { jobId },
      REASON,
      { scope: undefined, properties: [] },
      { until: "launched", timeoutMs: START_MS },
      { onExit: null, onFailure: null },
      undefined,
      undefined,
    );
    if (existing) return `${runKey} runs already: job ${job.jobId}`;
    return job.error === null
      ? `Started again: ${runKey}, attempt ${job.attemptNo}`
      : `${runKey}: ${job.error}`;
  } catch (error) {
    return `Not started: ${firstLine(error instanceof Error ? error.message : String(error))}`;
  }
}

function firstLine(text: string): string {
  return text
    .trim()
    .split("\n")[0]!
    .replace(/^orchesjob: /, "");
}
