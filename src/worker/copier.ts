/**
 * The process that takes care of jobs whose workers were killed: it copies their output until no process has it open, and waits
 * for the end of their processes.
 */
import { nameProcess } from "../linux/caller.ts";
import { EndWatch } from "../linux/end-watch.ts";
import { releaseMemory } from "../linux/self.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { RetryingStore } from "../state/retrying-store.ts";
import { keepOrphans } from "./keeper.ts";
import { PipedOutput } from "./output.ts";
import { parseLimit } from "./spawn-copier.ts";

/** `limits`: of jobs with --max-log-bytes, as spawn-copier.ts passes them. */
export async function copyAndKeep(
  context: Context,
  jobIds: readonly string[],
  limits: readonly string[],
): Promise<void> {
  nameProcess();
  const limitOf = new Map(limits.map((limit) => parseLimit(limit)));
  const taken = jobIds
    .map((jobId) => new PipedOutput(context.home, jobId, limitOf.get(jobId)))
    .filter((output) => output.take());
  debug?.note(
    `copies the output of ${taken.length} of ${jobIds.length} jobs; the others have a copier, or no output left`,
  );
  let keepers = jobIds.length;
  // One that does not wait for the end of a process may wait for the database.
  const watch: EndWatch = new EndWatch(
    () => watch.waiting < keepers || taken.some((output) => output.isPausing),
  );
  const retryingStore = new RetryingStore(context);
  const kept = jobIds.map((jobId) =>
    keepOrphans({ context, retryingStore, watch }, jobId).finally(() => (keepers -= 1)),
  );
  for (const output of taken) output.begin();
  releaseMemory();
  for (const output of taken) {
    await output.outlast();
    debug?.about(output.jobId);
    debug?.note("all output is in the logs");
  }
  await Promise.all(kept);
}
