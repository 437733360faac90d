/** What a person is told on stderr: a line each. A failure is one, too, with its exit code; a stack trace would tell nothing. */
import { EXIT_CODES, OrchesjobError } from "../job/errors.ts";
import { writeAll } from "../os/file.ts";
import { ERRNO, SystemError } from "../os/libc.ts";
import { harmless } from "./harmless.ts";

/** Tells something on a descriptor. The words may be from outside: see harmless. */
export function tell(descriptor: number, message: string): void {
  writeAll(descriptor, new TextEncoder().encode(`orchesjob: ${harmless(message)}\n`));
}

/** Tells of a failure on a descriptor (where anybody listens); returns the exit code. */
export function report(error: unknown, stderr: number): number {
  // The reader of our answer has seen enough (`| head`).
  if (error instanceof SystemError && error.errno === ERRNO.EPIPE) return 0;
  try {
    tell(stderr, error instanceof Error ? error.message : String(error));
  } catch {
    // Nobody listens.
  }
  return error instanceof OrchesjobError ? error.exitCode : EXIT_CODES.general;
}
