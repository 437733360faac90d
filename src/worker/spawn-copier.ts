/** The process that copies the output of jobs whose workers were killed: see worker/output.ts. */
import { callersLimits, keepCallersDirectory, openNothing, ownCommand } from "../linux/caller.ts";
import { environmentForWorker } from "../linux/ffi/environment.ts";
import { closeAll, spawnProcess } from "../linux/spawn.ts";
import { HOOK_VARIABLE, JOB_ID_VARIABLE, TOKEN_VARIABLE } from "../processes/variables.ts";
import { debugWords } from "../state/debug.ts";
import type { Home } from "../state/paths.ts";
import { readCallerFileLimit } from "../systemd/caller-file-limit.ts";

/** Starts it, detached, for these jobs; returns its pid. Throws SystemError. */
export function spawnCopier(home: Home, jobIds: readonly string[]): number {
  // Spawning takes us to the root.
  keepCallersDirectory();
  const nothing = openNothing();
  const words = ["_copy", "--home", home.path, ...debugWords()];
  for (const jobId of jobIds) words.push("--job-id", jobId);
  try {
    return spawnProcess({
      file: "/proc/self/exe",
      argv: [...ownCommand(), ...words],
      descriptors: [nothing, nothing, nothing],
      ...callersLimits(),
      fileLimit: readCallerFileLimit(),
      blocked: [],
      directory: "/",
      // It is of no job: not of those that it copies for, and not of the one whose command we may be part of.
      environment: environmentForWorker([
        [JOB_ID_VARIABLE, ""],
        [TOKEN_VARIABLE, ""],
        [HOOK_VARIABLE, ""],
      ]),
    });
  } finally {
    closeAll([nothing]);
  }
}
