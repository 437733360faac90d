/** Lists the jobs of all members of a fleet. Loaded only when they are asked for. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import type { Context } from "../state/context.ts";
import { merge } from "./elsewhere.ts";
import { type JobList, openList } from "./list.ts";

/** As openList. Throws `not-found` if the state directory is in no fleet; the list, `locked` if the registry cannot be reached. */
export async function openFleetList(context: Context): Promise<JobList> {
  const fleet = await context.openFleet();
  if (fleet === undefined)
    throw new OrchesjobError(
      "not-found",
      `the state directory ${context.home.path} is in no fleet`,
      "leave out --fleet; or join one: orchesjob fleet join URL",
    );
  const here = await openList(context);
  return async (filter) => {
    const there = await fleet.list(filter);
    const found = merge(fleet, await here(filter), there);
    return (filter.order === "ended" ? found.toSorted(byEnd) : found).slice(0, filter.limit);
  };
}

/** The last one first. */
function byEnd(a: Job, b: Job): number {
  return (b.finishedAt ?? b.startedAt) - (a.finishedAt ?? a.startedAt);
}
