/** Any command that comes across a job whose output nobody copies any more starts a process that does. */
import type { Job } from "../job/job.ts";
import { spawnCopier } from "./spawn-copier.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { keepAlive } from "../hooks/catch-up.ts";
import { lacksCopier } from "./output.ts";

/** Jobs of one command at most; the next command sees the rest. */
const MOST_JOBS = 200;

/** Those that this process has started somebody for. */
const started = new Set<string>();

/** Says nothing where that fails: the next command tries again. */
export async function catchUpOutput(context: Context, jobs: readonly Job[]): Promise<void> {
  try {
    const idle = jobs
      .filter((job) => !started.has(job.jobId) && lacksCopier(context.home, job))
      .slice(0, MOST_JOBS)
      .map((job) => job.jobId);
    const [first] = idle;
    if (first === undefined) return;
    for (const jobId of idle) started.add(jobId);
    const pid = spawnCopier(context.home, idle);
    debug?.note(`spawned copier ${pid} for jobs ${idle.join(", ")}`);
    await keepAlive(
      context,
      pid,
      `orchesjob-copy-${first}.scope`,
      "orchesjob: output of jobs without a worker",
    );
  } catch (error) {
    debug?.note("cannot start a copier", error);
    // Whoever asked about a job gets the answer all the same.
  }
}
