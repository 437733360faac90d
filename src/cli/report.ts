/** A failure as a user sees it: one line on stderr, and the exit code. A stack trace would tell him nothing. */
import { EXIT_CODES, OrchesjobError } from "../job/errors.ts";
import { writeAll } from "../os/file.ts";
import { ERRNO, SystemError } from "../os/libc.ts";
import { describeFileLimit } from "../os/limits.ts";

/** Tells of a failure on a descriptor (where anybody listens); returns the exit code. */
export function report(error: unknown, stderr: number): number {
  // The reader of our answer has seen enough (`| head`).
  if (error instanceof SystemError && error.errno === ERRNO.EPIPE) return 0;
  const message = describeCause(error) ?? (error instanceof Error ? error.message : String(error));
  try {
    writeAll(stderr, new TextEncoder().encode(`orchesjob: ${message}\n`));
  } catch {
    // Nobody listens.
  }
  return error instanceof OrchesjobError ? error.exitCode : EXIT_CODES.general;
}

/** Where the system refused something, it may be for a limit that the message of the failed call does not know of. */
function describeCause(error: unknown): string | undefined {
  const isOfSystem =
    error instanceof SystemError || (error instanceof OrchesjobError && error.code === "general");
  return isOfSystem ? describeFileLimit() : undefined;
}
