/** The environment variables that say which job a process belongs to. */

export const JOB_ID_VARIABLE = "ORCHESJOB_JOB_ID";
export const RUN_KEY_VARIABLE = "ORCHESJOB_RUN_KEY";

/** Set beside the id, which everybody can see, to what nobody can guess: so nobody else can make a process look like the job's. */
export const TOKEN_VARIABLE = "ORCHESJOB_JOB_TOKEN";

/**
 * Set beside the job's id, and to the same, for the job's hook: its processes are not those of the command. What a hook
 * starts as a job of its own inherits it, but has another id.
 */
export const HOOK_VARIABLE = "ORCHESJOB_HOOK";

export const ATTEMPT_VARIABLE = "ORCHESJOB_ATTEMPT";

/** Ids of the jobs around a job, the nearest first, with spaces between them. */
export const ANCESTORS_VARIABLE = "ORCHESJOB_ANCESTOR_JOB_IDS";

/** Nobody nests so deep; without a limit a circle of keys would fill the environment. */
const MAX_ANCESTORS = 50;

/** Ids of the jobs, the nearest first. Whoever drops the environment (`sudo`) is a part of none. */
export function enclosingJobs(): readonly string[] {
  const nearest = process.env[JOB_ID_VARIABLE] ?? "";
  if (nearest === "") return [];
  const others = (process.env[ANCESTORS_VARIABLE] ?? "").split(" ").filter((jobId) => jobId !== "");
  return [nearest, ...others].slice(0, MAX_ANCESTORS);
}
