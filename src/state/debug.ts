/**
 * Where the program finds the writer of the debug file that ORCHESJOB_DEBUG names. Without that variable nothing else of it is
 * loaded: see app/debug-file.ts.
 */

export interface DebugFile {
  /** Absolute. */
  readonly path: string;
  /**
   * Appends a line: the event, followed by the message of `error`. Never throws. Neither may contain a token, a value of the
   * environment, or more than the first word of the job's command (see firstWord).
   */
  note(event: string, error?: unknown): void;
  /** Sets the job that the following lines are about. */
  about(jobId: string): void;
}

/** Undefined without ORCHESJOB_DEBUG: then `debug?.note(…)` does not even build its text. */
export let debug: DebugFile | undefined;

export function setDebug(file: DebugFile | undefined): void {
  debug = file;
}

/** Arguments that make a process of ours append to the same file. Its environment stays the caller's. */
export function debugWords(): readonly string[] {
  return debug === undefined ? [] : ["--debug", debug.path];
}

/** The part of a job's command that may be written: the rest may be secret, even if the command is one word with spaces. */
export function firstWord([file = ""]: readonly string[]): string {
  return JSON.stringify(/^\S*/.exec(file)![0]);
}
