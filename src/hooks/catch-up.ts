/** Any command that comes across a finished job whose hook has not run yet, and is not running, has it run. */
import { isHookDue } from "../job/hook.ts";
import type { Job } from "../job/job.ts";
import { readControlGroup, unitOf } from "../linux/control-group.ts";
import { probeLock } from "../linux/file-lock.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { hookFiles } from "../state/paths.ts";
import { spawnHookRunner } from "./spawn.ts";

/** Processes that one command starts at most, and jobs that each of them is given; the next command sees the rest. */
const LANES = 4;
const JOBS_PER_LANE = 200;

/** Those that this process has started somebody for: what comes of it is for the next command to see. */
const started = new Set<string>();

/**
 * Returns as soon as the hooks will run, in processes of their own. Says nothing where that fails: the next command tries
 * again.
 */
export async function catchUpHooks(context: Context, jobs: readonly Job[]): Promise<void> {
  try {
    const idle = jobs
      .filter((job) => isHookDue(job) && !started.has(job.jobId))
      .filter((job) => probeLock(hookFiles(context.home, job.jobId).lock) !== "held")
      .slice(0, LANES * JOBS_PER_LANE)
      .map((job) => job.jobId);
    for (const jobId of idle) started.add(jobId);
    for (let lane = 0; lane < Math.min(LANES, idle.length); lane++) {
      const jobIds = idle.filter((_, index) => index % LANES === lane);
      const runner = spawnHookRunner(context.home, jobIds);
      debug?.note(`spawned hook runner ${runner.pid} for jobs ${jobIds.join(", ")}`);
      try {
        const unit = `orchesjob-hook-${jobIds[0]}.scope`;
        await keepAlive(context, runner.pid, unit, "orchesjob: overdue hooks");
      } finally {
        runner.release();
      }
    }
  } catch (error) {
    debug?.note("cannot start a hook runner", error);
    // Whoever asked about a job gets the answer all the same.
  }
}

/** In a service that ends with us, or a session whose processes are killed, a runner needs a scope as a job does. */
export async function keepAlive(
  context: Context,
  pid: number,
  unit: string,
  description: string,
): Promise<void> {
  const group = readControlGroup("self");
  if (unitOf(group) === undefined) return;
  const { findWhatKills } = await import("../systemd/logind.ts");
  if (findWhatKills(group, false) === undefined) return;
  const { moveToScope } = await import("../systemd/scope.ts");
  try {
    await moveToScope({ unit, pid, description, properties: [], directory: context.home.path });
  } catch (error) {
    debug?.note(`cannot move process ${pid} into ${unit}`, error);
    // It ends with the service, and the next command tries again.
  }
}
