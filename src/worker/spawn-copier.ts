/** Starts the process that copies the output of jobs whose workers were killed: see output.ts. */
import { spawnOwn } from "../linux/own-process.ts";
import { HOOK_VARIABLE, JOB_ID_VARIABLE, TOKEN_VARIABLE } from "../processes/variables.ts";
import { debugWords } from "../state/debug.ts";
import type { Home } from "../state/paths.ts";

/** Starts it for these jobs, detached; returns its pid. Throws SystemError. */
export function spawnCopier(home: Home, jobIds: readonly string[]): number {
  const words = ["_copy", "--home", home.path, ...debugWords()];
  for (const jobId of jobIds) words.push("--job-id", jobId);
  return spawnOwn({
    words,
    // It belongs to no job: neither to those that it copies for, nor to the one whose command we may belong to.
    variables: [
      [JOB_ID_VARIABLE, ""],
      [TOKEN_VARIABLE, ""],
      [HOOK_VARIABLE, ""],
    ],
  });
}
