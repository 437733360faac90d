/** The answer of a command whose work is done before it is written: that it was done must not get lost with it. */
import { OrchesjobError } from "../../job/errors.ts";
import { ERRNO, SystemError } from "../../linux/ffi/call.ts";
import type { Output } from "./output.ts";

/** Prints an answer as JSON. Where that fails, throws `general`, saying what was done all the same. */
export function answer(output: Output, value: unknown, done: () => string): void {
  try {
    output.json(value);
  } catch (error) {
    // The reader has gone of its own will: see report.ts.
    if (!(error instanceof SystemError) || error.errno === ERRNO.EPIPE) throw error;
    throw new OrchesjobError("general", `${error.message}, so the answer is lost`, done());
  }
}

/** Of a command that starts a job. */
export function startedAllTheSame(result: {
  readonly existing: boolean;
  readonly job: { readonly jobId: string };
}): string {
  const { existing, job } = result;
  const what = existing
    ? `nothing was started, the job is ${job.jobId}`
    : `job ${job.jobId} was accepted all the same`;
  return `${what}; see it: orchesjob status --job-id ${job.jobId}`;
}
