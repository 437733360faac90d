/** Messages on stderr: one line each, also for an error, and never a stack trace. */
import { EXIT_CODES, OrchesjobError } from "../../job/errors.ts";
import { ERRNO, SystemError } from "../../linux/ffi/call.ts";
import { writeAll } from "../../linux/file.ts";
import { describeFileLimit } from "../../linux/limits.ts";
import { sanitize } from "./sanitize.ts";

/** Writes `orchesjob: message` to a descriptor, sanitized, because messages quote run keys, paths and commands. */
export function printDiagnostic(descriptor: number, message: string): void {
  writeAll(descriptor, new TextEncoder().encode(`orchesjob: ${sanitize(message)}\n`));
}

/** Writes an error to a descriptor, if anybody reads it; returns the exit code. */
export function report(error: unknown, stderr: number): number {
  // The reader of the answer has seen enough (`| head`): no error.
  if (error instanceof SystemError && error.errno === ERRNO.EPIPE) return 0;
  try {
    printDiagnostic(stderr, describeCause(error) ?? (error instanceof Error ? error.message : String(error)));
  } catch {
    // stderr is closed, or its reader has gone.
  }
  return error instanceof OrchesjobError ? error.exitCode : EXIT_CODES.general;
}

/** If a system call failed and the limit of open files is too low, the message that says so; the error itself may not. */
function describeCause(error: unknown): string | undefined {
  const isOfSystem =
    error instanceof SystemError || (error instanceof OrchesjobError && error.code === "general");
  return isOfSystem ? describeFileLimit() : undefined;
}
