/** Which processes of a job are alive, by all that is known of it. */
import { isHookDue } from "../job/hook.ts";
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { probeLock } from "../linux/file-lock.ts";
import { identify, lives, readChildren } from "../linux/pidfd.ts";
import { type ProcessStat, readProcess } from "../linux/self.ts";
import type { Context } from "../state/context.ts";
import { outputFiles } from "../state/paths.ts";
import { HIDDEN } from "./proc.ts";
import { ProcessTable } from "./table.ts";

export interface JobProcesses {
  /** But for the worker; oldest first. */
  readonly seen: readonly ProcessStat[];
  /** None is seen, and yet one must be there: somebody has the job's output open, or is in its process group, or is watched over
   *  by its worker; in another PID namespace, or out of our sight. */
  readonly unseen: boolean;
}

export interface Search {
  readonly table?: ProcessTable;
  /** See Evidence. */
  readonly excludedPids?: ReadonlySet<number>;
  readonly trustSession?: boolean;
}

export function findProcesses(context: Context, job: Job, search: Search = {}): JobProcesses {
  const {
    table = new ProcessTable(context.origin),
    excludedPids = new Set<number>(),
    trustSession = true,
  } = search;
  const heldLogs = outputFiles(context.home, job).filter((path) => probeLock(path) === "held");
  const seen = table.ofJob(job, { heldLogs, excludedPids, trustSession });
  const unseen =
    seen.length === 0 &&
    (heldLogs.length > 0 || (trustSession && table.hasHidden(job)) || isWatched(context, job));
  return { seen, unseen };
}

/**
 * The living children of a job's worker that are of the job: whoever has come from its command and lives is one of them, or
 * below one. Undefined where the kernel does not tell.
 */
export function findChildren(context: Context, job: Job, worker: number): readonly ProcessStat[] | undefined {
  const table = new ProcessTable(context.origin);
  for (let before: string | undefined; ;) {
    const children = readChildren(worker);
    if (children === undefined) return undefined;
    const living = children
      .map((pid) => ({ ...HIDDEN, ...readProcess(pid), ...identify(pid) }))
      .filter((child) => lives(child) && !table.isStranger(child.pid, job));
    // One that was gone when we looked at it has left its own children to the worker, behind our back: another list shows them.
    const list = children.join(" ");
    if (living.length > 0 || list === before) return living;
    before = list;
  }
}

/** The worker of a job that was ended stays as long as a process is left of it, and says so when none is: see aftermath.ts. */
function isWatched(context: Context, job: Job): boolean {
  const { worker, origin, leftBehind } = job;
  // Before that it has the hook to run.
  if (!leftBehind?.length || isActive(job.status) || isHookDue(job)) return false;
  const isHere = origin?.pidNamespace === context.origin.pidNamespace;
  return isHere && worker !== null && worker.pid !== process.pid && lives(worker);
}
