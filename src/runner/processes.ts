/** Which processes of a job are alive, by all that is known of it. */
import type { Job } from "../job/job.ts";
import { logFiles } from "../os/home.ts";
import { probeLock } from "../os/lock.ts";
import { ProcessTable } from "../os/process-tree.ts";
import type { ProcessStat } from "../os/self.ts";
import type { Context } from "./context.ts";

export interface JobProcesses {
  /** But for the worker; oldest first. */
  readonly seen: readonly ProcessStat[];
  /** None is seen, and yet somebody has the job's output open: in another PID namespace, or out of our sight. */
  readonly unseen: boolean;
}

export interface Search {
  readonly table?: ProcessTable;
  /** See Evidence. */
  readonly bystanders?: ReadonlySet<number>;
  readonly trustSession?: boolean;
}

export function findProcesses(context: Context, job: Job, search: Search = {}): JobProcesses {
  const {
    table = new ProcessTable(context.origin),
    bystanders = new Set<number>(),
    trustSession = true,
  } = search;
  const { stdout, stderr } = logFiles(context.home, job.jobId);
  const heldLogs = [stdout, stderr].filter((path) => probeLock(path) === "held");
  const seen = table.ofJob(job, { heldLogs, bystanders, trustSession });
  return { seen, unseen: seen.length === 0 && heldLogs.length > 0 };
}
