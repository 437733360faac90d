/** The jobs that this process is a part of, by its environment: a job's command may start another job, and wait for that. */
import { JOB_ID_VARIABLE } from "./table.ts";

/** Ids of the jobs around a job, the nearest first, with spaces between them. */
export const ANCESTORS_VARIABLE = "ORCHESJOB_ANCESTOR_JOB_IDS";

/** Nobody nests so deep; without a limit a circle of keys would fill the environment. */
const MAX_ANCESTORS = 50;

/** Ids of the jobs, the nearest first. Whoever drops the environment (`sudo`) is a part of none. */
export function enclosingJobs(): readonly string[] {
  const nearest = process.env[JOB_ID_VARIABLE] ?? "";
  if (nearest === "") return [];
  const others = (process.env[ANCESTORS_VARIABLE] ?? "").split(" ").filter((jobId) => jobId !== "");
  return [nearest, ...others].slice(0, MAX_ANCESTORS);
}
