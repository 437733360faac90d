/** Finds the living processes of a job, by all that is known of it. */
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
  /** Without the worker; oldest first. */
  readonly seen: readonly ProcessStat[];
  /**
   * We see none, but there is one, in another PID namespace or hidden from us: it has the job's output open, or is in its
   * process group, or its worker waits for it.
   */
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
 * Returns the living children of a job's worker that belong to the job. Every living descendant of the command is one of them,
 * or below one. Undefined if the kernel does not say.
 */
export function findChildren(context: Context, job: Job, worker: number): readonly ProcessStat[] | undefined {
  const table = new ProcessTable(context.origin);
  for (let before: string | undefined; ;) {
    const children = readChildren(worker);
    if (children === undefined) return undefined;
    const living = children
      .map((pid) => ({ ...HIDDEN, ...readProcess(pid), ...identify(pid) }))
      .filter((child) => lives(child) && !table.isStranger(child.pid, job));
    // A child that ended before we looked at it has left its own children to the worker. So list them again, until the list is
    // the same.
    const list = children.join(" ");
    if (living.length > 0 || list === before) return living;
    before = list;
  }
}

/** Whether the worker of a job that was ended early still waits for its survivors: see worker/aftermath.ts. */
function isWatched(context: Context, job: Job): boolean {
  const { worker, origin, leftBehind } = job;
  // Until then it may live only for the hook.
  if (!leftBehind?.length || isActive(job.status) || isHookDue(job)) return false;
  const isHere = origin?.pidNamespace === context.origin.pidNamespace;
  return isHere && worker !== null && worker.pid !== process.pid && lives(worker);
}
