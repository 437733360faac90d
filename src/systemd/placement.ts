/** Decides where a job's processes live: in the unit of their caller, or in a scope of their own that outlives it. */
import { OrchesjobError } from "../job/errors.ts";
import type { NewJob } from "../job/job.ts";
import { scopeName } from "../job/scope.ts";
import { readControlGroup, unitOf } from "../linux/control-group.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";

export interface Placement {
  /** The scope that the worker is in. */
  readonly unit: string | null;
  /** What the user should know about the lifetime of the job. */
  readonly warnings: readonly string[];
}

export interface Move {
  /** The caller asked for a scope: without one the job must not start. */
  readonly demanded: boolean;
  /** Rejects with OrchesjobError if a demanded scope cannot be created. */
  readonly done: Promise<Placement>;
}

const NOT_MOVED: Placement = { unit: null, warnings: [] };
const NO_MOVE: Move = { demanded: false, done: Promise.resolve(NOT_MOVED) };

/**
 * Begins to move a worker that waits for its release into a scope of its own, if it needs one. If we are in no unit of
 * systemd, this only reads one file of /proc. `supervised`: the caller waits for the job's end.
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
      if (killer === undefined || !(await endsWithUnit(killer, group))) return NOT_MOVED;
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
    `cannot create a scope for the job: ${why}; nothing was started`,
  );
}
