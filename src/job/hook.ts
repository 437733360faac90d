/** The hook of a job, `--on-exit`: when it is due, and what its command may be. */
import { OrchesjobError } from "./errors.ts";
import type { Job } from "./job.ts";
import { byteLength } from "./request.ts";
import { isActive } from "./status.ts";

export const DEFAULT_HOOK_TIMEOUT_MS = 600_000;

/** Well below the 128 KiB that the kernel allows for one argument, because the environment needs room, too. */
const MAX_BYTES = 32_768;

/** Whether the job has ended, and no run of its hook is recorded yet. */
export function isHookDue(job: Job): boolean {
  return job.onExit !== null && job.onExit.result === null && !isActive(job.status);
}

/** Returns the command unchanged, or throws `usage`. */
export function checkHookCommand(command: string): string {
  if (command.trim() === "")
    throw new OrchesjobError("usage", "--on-exit is empty", "name a command: --on-exit './notify.sh'");
  const bytes = byteLength(command);
  if (bytes <= MAX_BYTES) return command;
  throw new OrchesjobError(
    "usage",
    `--on-exit has ${bytes} bytes`,
    `at most ${MAX_BYTES} are allowed; put it into a script and name that`,
  );
}
