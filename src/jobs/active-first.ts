/** Puts the active jobs before all others, as a person wants to see them. */
import type { Job } from "../job/job.ts";
import { isActive, STATUSES } from "../job/status.ts";
import type { ListFilter } from "../store/store.ts";
import type { JobList } from "./list.ts";

/** All active jobs that a filter lets through, newest first, then others until there are `limit`. */
export async function activeFirst(filter: ListFilter, list: JobList): Promise<readonly Job[]> {
  const wanted = filter.statuses.length === 0 ? STATUSES : filter.statuses;
  const some = async (statuses: ListFilter["statuses"], more: Partial<ListFilter>) =>
    statuses.length === 0 ? [] : list({ ...filter, ...more, statuses });
  const active = await some(
    wanted.filter((status) => isActive(status)),
    { limit: Number.MAX_SAFE_INTEGER, order: "accepted" },
  );
  const ended = await some(
    wanted.filter((status) => !isActive(status)),
    {},
  );
  // A job that ended in between is in both.
  const over = new Set(ended.map((job) => job.jobId));
  const running = active.filter((job) => !over.has(job.jobId));
  return [...running, ...ended.slice(0, Math.max(0, filter.limit - running.length))];
}
