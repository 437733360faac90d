/** Prints the answer of a command that has already done its work. If that fails, the error still says what was done. */
import { OrchesjobError } from "../../job/errors.ts";
import { ERRNO, SystemError } from "../../linux/ffi/call.ts";
import type { Output } from "./output.ts";

/** Prints an answer as JSON. Throws `general` with the hint `done()` if that fails; SystemError EPIPE if the reader has gone. */
export function answer(output: Output, value: unknown, done: () => string): void {
  try {
    output.json(value);
  } catch (error) {
    // The reader closed the pipe on purpose: report.ts handles that.
    if (!(error instanceof SystemError) || error.errno === ERRNO.EPIPE) throw error;
    throw new OrchesjobError("general", `${error.message}, so the answer is lost`, done());
  }
}

/** What a command that starts jobs has done. */
export function describeStart(result: {
  readonly existing: boolean;
  readonly job: { readonly jobId: string };
}): string {
  const { existing, job } = result;
  const what = existing
    ? `nothing was started: the existing job is ${job.jobId}`
    : `job ${job.jobId} was accepted all the same`;
  return `${what}; see it: orchesjob status --job-id ${job.jobId}`;
}
