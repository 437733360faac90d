/** `rerun`: starts a finished job's command again, with its directory and options. */
import { OrchesjobError } from "../job/errors.ts";
import type { OnPartition } from "../job/fleet.ts";
import { DEFAULT_POLICY } from "../job/policy.ts";
import type { NewJob } from "../job/job.ts";
import { firstAttempt } from "../job/retry.ts";
import { type OutputMode, OWN_STDIN } from "../job/output.ts";
import { isActive } from "../job/status.ts";
import type { ScopeMode } from "../job/scope.ts";
import type { Context } from "../state/context.ts";
import type { JobSelector } from "../job/request.ts";
import { findLastAttempt } from "./attempts.ts";
import { findJob } from "./find.ts";
import { type WaitMode, type StartResult, startJob } from "./start.ts";

/**
 * Uses up the permission (`unlock`) of a strict key. `placement` replaces that of the job; a hook that is null, and `output` and
 * `onPartition` undefined, keep those of the job. Throws `not-found`, and `conflict` if the run key has an active job, or is strict and not unlocked.
 */
export async function rerunJob(
  context: Context,
  selector: JobSelector,
  reason: string | null,
  placement: { readonly scope: ScopeMode | undefined; readonly properties: readonly string[] },
  waitMode: WaitMode,
  hooks: Pick<NewJob, "onExit" | "onFailure">,
  output: OutputMode | undefined,
  onPartition: OnPartition | undefined,
): Promise<StartResult> {
  const { store, job } = await findJob(context, selector);
  if (isActive(job.status)) {
    throw new OrchesjobError("conflict", `cannot rerun job ${job.jobId}: it is ${job.status}`);
  }
  if (job.command.length === 0) {
    throw new OrchesjobError(
      "conflict",
      `cannot rerun job ${job.jobId}: its row in the database has no command`,
    );
  }
  if (output === "file" && job.limits.maxLogBytes !== undefined) {
    throw new OrchesjobError(
      "usage",
      `cannot rerun job ${job.jobId} with --output file: its logs have a limit (--max-log-bytes), which needs --output pipe`,
    );
  }
  if (job.elsewhere !== undefined && job.stdin === OWN_STDIN) {
    const { commandOn } = await import("./elsewhere.ts");
    throw new OrchesjobError(
      "conflict",
      `cannot rerun job ${job.jobId} here: what it reads is stored on host ${job.elsewhere.host}`,
      `run there: ${commandOn(job.elsewhere, ["rerun", "--job-id", job.jobId])}`,
    );
  }
  if (job.cwd.includes("\uFFFD")) {
    throw new OrchesjobError(
      "conflict",
      `cannot rerun job ${job.jobId}: the name of its directory is not valid UTF-8`,
      "start it there again",
    );
  }
  // The hook has passed on to the last attempt.
  const last = await findLastAttempt(context, store, job);
  const { runKey, command, env, labels, timeoutMs, jobId } = job;
  const scope =
    placement.scope ?? (placement.properties.length > 0 && job.scope === "never" ? "auto" : job.scope);
  const properties =
    placement.properties.length > 0 || scope === "never" ? placement.properties : job.properties;
  return startJob(
    context,
    {
      ...{ runKey, command, env, labels, timeoutMs, scope, properties },
      requestId: null,
      rerunOfJobId: jobId,
      rerunReason: reason,
      onExit: hooks.onExit ?? last.onExit,
      onFailure: hooks.onFailure ?? last.onFailure,
      retry: job.retry && firstAttempt(job.retry),
      output: output ?? job.output,
      stdin: job.stdin,
      limits: job.limits,
      onPartition: onPartition ?? job.onPartition,
      policy: DEFAULT_POLICY,
      // Jobs of the Python versions have no directory.
      directory: job.cwd === "" ? undefined : job.cwd,
    },
    waitMode,
  );
}
