/** Where a job's processes live: with what started them, or in a scope of their own that outlives it. */
import { OrchesjobError } from "../job/errors.ts";
import type { NewJob } from "../job/job.ts";
import { scopeName } from "../job/scope.ts";
import { readControlGroup, unitOf } from "../linux/control-group.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";

export interface Placement {
  /** The scope that the worker is in. */
  readonly unit: string | null;
  /** What the caller should know about the job's life, for people. */
  readonly warnings: readonly string[];
}

export interface Move {
  /** Somebody asked for the scope: without it the job must not be. */
  readonly demanded: boolean;
  /** Throws OrchesjobError where it is demanded and cannot be. */
  readonly done: Promise<Placement>;
}

const AT_HOME: Placement = { unit: null, warnings: [] };
const NO_MOVE: Move = { demanded: false, done: Promise.resolve(AT_HOME) };

/**
 * Begins to move a worker that waits for its release into a scope of its own, where it needs one. Where it does not (no
 * unit of systemd's around us), this costs one file of /proc. `supervised`: the caller waits for the job's end.
 */
export async function beginMoveIntoScope(
  context: Context,
  job: Pick<NewJob, "jobId" | "runKey" | "scope" | "properties">,
  worker: number,
  supervised: boolean,
): Promise<Move> {
  const demanded = job.scope === "always" || job.properties.length > 0;
  if (job.scope === "never") return NO_MOVE;
  const group = demanded ? "/" : readControlGroup("self");
  if (!demanded && unitOf(group) === undefined) return NO_MOVE;
  const { findEnd, findWhatKills } = await import("./logind.ts");
  const killer = demanded ? undefined : findWhatKills(group, supervised);
  if (!demanded && killer === undefined) {
    const end = supervised ? undefined : findEnd(group);
    return { demanded, done: Promise.resolve({ unit: null, warnings: end === undefined ? [] : [end] }) };
  }
  const { endsWithUnit, moveToScope } = await import("./scope.ts");
  const unit = scopeName(job.jobId);
  const move = async (): Promise<Placement> => {
    try {
      await moveToScope({
        unit,
        pid: worker,
        description: `orchesjob: ${job.runKey}`,
        properties: job.properties,
        directory: context.home.path,
      });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      debug?.note(`cannot move the worker into ${unit}`, error);
      if (demanded) throw refusal(why, error);
      if (killer === undefined || !(await endsWithUnit(killer, group))) return AT_HOME;
      return { unit: null, warnings: [`the job stays in ${killer} and ends with it: ${why}`] };
    }
    debug?.note(`moved the worker into ${unit}`);
    const end = findEnd(readControlGroup(worker));
    return { unit, warnings: end === undefined ? [] : [end] };
  };
  return { demanded, done: move() };
}

function refusal(why: string, error: unknown): OrchesjobError {
  const isRefused = error instanceof Error && "kind" in error && error.kind === "refused";
  return new OrchesjobError(
    isRefused ? "usage" : "general",
    `cannot make a scope for the job: ${why}; nothing was started`,
  );
}
