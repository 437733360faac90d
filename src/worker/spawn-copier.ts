/** Starts the process that copies the output of jobs whose workers were killed: see output.ts. */
import { spawnOwn } from "../linux/own-process.ts";
import { HOOK_VARIABLE, JOB_ID_VARIABLE, TOKEN_VARIABLE } from "../processes/variables.ts";
import type { Job } from "../job/job.ts";
import { debugWords } from "../state/debug.ts";
import type { Home } from "../state/paths.ts";

/** Starts it for these jobs, detached; returns its pid. Throws SystemError. */
export function spawnCopier(home: Home, jobs: readonly Job[]): number {
  const words = ["_copy", "--home", home.path, ...debugWords()];
  for (const { jobId, limits } of jobs) {
    words.push("--job-id", jobId);
    if (limits.maxLogBytes !== undefined) words.push("--limit", `${jobId}:${limits.maxLogBytes}`);
  }
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

/** The job and the limit of its logs, in bytes, of a word of --limit. */
export function parseLimit(word: string): [jobId: string, bytes: number] {
  const colon = word.indexOf(":");
  return [word.slice(0, colon), Number(word.slice(colon + 1))];
}
