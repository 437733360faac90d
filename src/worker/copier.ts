/** The process that copies the output of jobs whose workers were killed, until no process has that output open. */
import { nameProcess } from "../linux/caller.ts";
import { releaseMemory } from "../linux/self.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { PipedOutput } from "./output.ts";

export async function copyOutput(context: Context, jobIds: readonly string[]): Promise<void> {
  nameProcess();
  const taken = jobIds.map((jobId) => new PipedOutput(context.home, jobId)).filter((output) => output.take());
  debug?.note(
    `copies the output of ${taken.length} of ${jobIds.length} jobs; the others have a copier, or no output left`,
  );
  for (const output of taken) output.begin();
  releaseMemory();
  for (const output of taken) {
    await output.outlast();
    debug?.about(output.jobId);
    debug?.note("all output is in the logs");
  }
}
