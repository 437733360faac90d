/** How callers name jobs: run keys and job ids, and their limits. */
import { hasControlCharacter } from "./control-characters.ts";
import { OrchesjobError } from "./errors.ts";

/** A job by its id, or the newest one of a run key. */
export type JobSelector = { readonly jobId: string } | { readonly runKey: string };

const MAX_RUN_KEY_BYTES = 1024;
const encoder = new TextEncoder();

/** Length in UTF-8. Does not use Buffer, because loading it takes 200,000 instructions. */
export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

const JOB_ID = /^[0-9A-Za-z][0-9A-Za-z._-]{0,127}$/;

/** Returns the run key as it is, or throws `usage`. */
export function checkRunKey(runKey: string): string {
  if (runKey === "")
    throw new OrchesjobError("usage", "the run key is empty", "give a name: --run-key nightly-backup");
  const bytes = byteLength(runKey);
  if (bytes > MAX_RUN_KEY_BYTES) {
    throw new OrchesjobError(
      "usage",
      `the run key has ${bytes} bytes`,
      `at most ${MAX_RUN_KEY_BYTES} are allowed`,
    );
  }
  if (hasControlCharacter(runKey)) {
    throw new OrchesjobError(
      "usage",
      `the run key ${JSON.stringify(runKey)} contains a control character`,
      "remove it",
    );
  }
  return runKey;
}

/** Whether a text can be a job id. Ids become file names, so nothing else may reach the disk. */
export function isJobId(text: string): boolean {
  return JOB_ID.test(text);
}
