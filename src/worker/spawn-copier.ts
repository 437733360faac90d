/** The process that copies the output of jobs whose workers were killed: see worker/output.ts. */
import { spawnOwn } from "../linux/own-process.ts";
import { HOOK_VARIABLE, JOB_ID_VARIABLE, TOKEN_VARIABLE } from "../processes/variables.ts";
import { debugWords } from "../state/debug.ts";
import type { Home } from "../state/paths.ts";

/** Starts it, detached, for these jobs; returns its pid. Throws SystemError. */
export function spawnCopier(home: Home, jobIds: readonly string[]): number {
  const words = ["_copy", "--home", home.path, ...debugWords()];
  for (const jobId of jobIds) words.push("--job-id", jobId);
  return spawnOwn({
    words,
    // It is of no job: not of those that it copies for, and not of the one whose command we may be part of.
    variables: [
      [JOB_ID_VARIABLE, ""],
      [TOKEN_VARIABLE, ""],
      [HOOK_VARIABLE, ""],
    ],
  });
}
