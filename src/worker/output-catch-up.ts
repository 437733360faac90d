/** Starts a copier for jobs whose output no process copies any more. Commands call it for the jobs that they look at. */
import type { Job } from "../job/job.ts";
import { spawnCopier } from "./spawn-copier.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { keepAlive } from "../hooks/catch-up.ts";
import { lacksCopier } from "./output.ts";

/** How many jobs one command takes care of at most; the next command takes the rest. */
const MOST_JOBS = 200;

/** Jobs for which this process has started a copier. */
const started = new Set<string>();

/** Reports no failure: the next command tries again. */
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
    // The caller asked about a job, and gets the answer in any case.
  }
}
