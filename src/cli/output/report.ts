/** What a person is told on stderr: a line each. A failure is one, too, with its exit code; a stack trace would tell nothing. */
import { EXIT_CODES, OrchesjobError } from "../../job/errors.ts";
import { ERRNO, SystemError } from "../../linux/ffi/call.ts";
import { writeAll } from "../../linux/file.ts";
import { describeFileLimit } from "../../linux/limits.ts";
import { sanitize } from "./sanitize.ts";

/** Tells something on a descriptor. The words may be from outside: see harmless. */
export function tell(descriptor: number, message: string): void {
  writeAll(descriptor, new TextEncoder().encode(`orchesjob: ${sanitize(message)}\n`));
}

/** Tells of a failure on a descriptor (where anybody listens); returns the exit code. */
export function report(error: unknown, stderr: number): number {
  // The reader of our answer has seen enough (`| head`).
  if (error instanceof SystemError && error.errno === ERRNO.EPIPE) return 0;
  try {
    tell(stderr, describeCause(error) ?? (error instanceof Error ? error.message : String(error)));
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
