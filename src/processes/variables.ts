/** The environment variables that say which job a process belongs to. */
import type { HookKind } from "../job/job.ts";

export const JOB_ID_VARIABLE = "ORCHESJOB_JOB_ID";
export const RUN_KEY_VARIABLE = "ORCHESJOB_RUN_KEY";

/**
 * A random token beside the id. Everybody can see the id, but nobody can guess the token: so no other process can pass for the
 * job's.
 */
export const TOKEN_VARIABLE = "ORCHESJOB_JOB_TOKEN";

/**
 * Which hook of which job a process belongs to: the processes of a hook are not those of the command. A job that a hook starts
 * inherits it, but has another id.
 */
export const HOOK_VARIABLE = "ORCHESJOB_HOOK";

/** The value of HOOK_VARIABLE. The runner of hooks has that of `--on-exit`. */
export function hookMark(jobId: string, kind: HookKind): string {
  return kind === "exit" ? jobId : `${jobId}.${kind}`;
}

/** Whether a value of HOOK_VARIABLE names a hook of this job. */
export function isHookOf(mark: string | undefined, jobId: string): boolean {
  return mark !== undefined && (mark === jobId || mark.startsWith(`${jobId}.`));
}

/** By which a target refuses what an older job still writes. */
export const FENCING_VARIABLE = "ORCHESJOB_FENCING_TOKEN";

export const ATTEMPT_VARIABLE = "ORCHESJOB_ATTEMPT";

/** Ids of the jobs that a job was started from within, the nearest first, separated by spaces. */
export const ANCESTORS_VARIABLE = "ORCHESJOB_ANCESTOR_JOB_IDS";

/** Nobody nests jobs this deep. Without a limit, keys that start each other in a circle would fill the environment. */
const MAX_ANCESTORS = 50;

/**
 * Returns the ids of the jobs that we are part of, the nearest first. A process without their environment (`sudo`) is part of
 * none.
 */
export function enclosingJobs(): readonly string[] {
  const nearest = process.env[JOB_ID_VARIABLE] ?? "";
  if (nearest === "") return [];
  const others = (process.env[ANCESTORS_VARIABLE] ?? "").split(" ").filter((jobId) => jobId !== "");
  return [nearest, ...others].slice(0, MAX_ANCESTORS);
}
