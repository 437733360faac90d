/** What a shell may offer where a job is named: what the store has now, a bounded number. */
import { hasControlCharacter } from "../job/control-characters.ts";
import { isJobId } from "../job/request.ts";
import type { Context } from "../state/context.ts";

export interface Suggestion {
  readonly value: string;
  /** For people, of values that say nothing by themselves. It may contain anything. */
  readonly remark?: string;
}

/** Nobody reads more; a longer prefix finds the rest. */
const MAX_RUN_KEYS = 1_000;
const MAX_JOB_IDS = 100;

/** A line each, in shells and on terminals: an older version let such keys in. */

/** Run keys in order, or job ids, the newest first. */
export async function suggest(
  context: Context,
  kind: "run-key" | "job-id",
  prefix: string,
): Promise<readonly Suggestion[]> {
  const store = context.openStore();
  if (store === undefined) return [];
  if (kind === "run-key") {
    const keys = await store.runKeys(prefix, MAX_RUN_KEYS);
    return keys.filter((key) => !hasControlCharacter(key)).map((value) => ({ value }));
  }
  const jobs = await store.jobsById(prefix, MAX_JOB_IDS);
  return jobs
    .filter((job) => isJobId(job.jobId))
    .map((job) => ({ value: job.jobId, remark: `${job.runKey} ${job.status}` }));
}
