/** The hooks of a job, `--on-exit` and `--on-failure`: when they are due, and what their commands may be. */
import { OrchesjobError } from "./errors.ts";
import type { Hook, HookKind, Job } from "./job.ts";
import { byteLength } from "./request.ts";
import { isActive } from "./status.ts";

/** The hooks of the end of a job. */
export const END_HOOKS = ["exit", "failure"] as const satisfies readonly HookKind[];
export type EndHook = (typeof END_HOOKS)[number];

export const DEFAULT_HOOK_TIMEOUT_MS = 600_000;

/** Well below the 128 KiB that the kernel allows for one argument, because the environment needs room, too. */
const MAX_BYTES = 32_768;

export function hookOf(job: Job, kind: EndHook): Hook | null {
  return kind === "exit" ? job.onExit : job.onFailure;
}

/** Whether the job has ended, and a hook has no recorded run yet. */
export function isHookDue({ onExit, onFailure, status }: Job): boolean {
  if (onExit === null && onFailure === null) return false;
  if (isActive(status)) return false;
  return onExit?.result === null || (onFailure?.result === null && status !== "SUCCEEDED");
}

/** Those of the job's hooks that are due. */
export function dueHooks(job: Job): readonly EndHook[] {
  if (!isHookDue(job)) return [];
  return END_HOOKS.filter(
    (kind) => hookOf(job, kind)?.result === null && (kind === "exit" || job.status !== "SUCCEEDED"),
  );
}

/** Returns a reader that gives the command back unchanged, or throws `usage`. */
export function checkHookCommand(option: string): (command: string) => string {
  return (command) => {
    if (command.trim() === "")
      throw new OrchesjobError("usage", `${option} is empty`, `name a command: ${option} './notify.sh'`);
    const bytes = byteLength(command);
    if (bytes <= MAX_BYTES) return command;
    throw new OrchesjobError(
      "usage",
      `${option} has ${bytes} bytes`,
      `at most ${MAX_BYTES} are allowed; put it into a script and name that`,
    );
  };
}
