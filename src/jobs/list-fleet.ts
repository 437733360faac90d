/** Lists the jobs of all members of a fleet. Loaded only when they are asked for. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import type { Context } from "../state/context.ts";
import type { ListFilter } from "../store/store.ts";
import { merge } from "./elsewhere.ts";
import { listJobs } from "./list.ts";

/** Newest first. Throws `not-found` if the state directory is in no fleet, `locked` if the registry cannot be reached. */
export async function listFleet(context: Context, filter: ListFilter): Promise<readonly Job[]> {
  const fleet = await context.openFleet();
  if (fleet === undefined)
    throw new OrchesjobError(
      "not-found",
      `the state directory ${context.home.path} is in no fleet`,
      "leave out --fleet; or join one: orchesjob fleet join URL",
    );
  const there = await fleet.list(filter);
  return merge(fleet, await listJobs(context, filter), there).slice(0, filter.limit);
}
