/**
 * Starts overdue hooks: those of ended jobs that have not run and that nobody runs. Commands call it for the jobs they look
 * at.
 */
import { isHookDue } from "../job/hook.ts";
import type { Job } from "../job/job.ts";
import { readControlGroup, unitOf } from "../linux/control-group.ts";
import { probeLock } from "../linux/file-lock.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { hookLock } from "../state/paths.ts";
import { spawnHookRunner } from "./spawn.ts";

/** How many processes one command starts at most, and for how many jobs each; the next command takes the rest. */
const LANES = 4;
const JOBS_PER_LANE = 200;

/** Jobs for which this process has started a runner; the next command sees what came of it. */
const started = new Set<string>();

/** Resolves as soon as the processes that run the hooks are started. Reports no failure: the next command tries again. */
export async function catchUpHooks(context: Context, jobs: readonly Job[]): Promise<void> {
  try {
    const idle = jobs
      .filter((job) => isHookDue(job) && !started.has(job.jobId))
      .filter((job) => probeLock(hookLock(context.home, job.jobId)) !== "held")
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
    // The caller asked about a job, and gets the answer in any case.
  }
}

/**
 * Moves a process into a scope if a service or login session that we are in would end it, as we do for a job. Reports no
 * failure.
 */
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
    // The process may end with the service; then the next command tries again.
  }
}
