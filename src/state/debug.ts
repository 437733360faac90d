/**
 * What we do, for somebody who must find out why: ORCHESJOB_DEBUG names a file for it. Here is only the place where the rest
 * of the program finds its writer. Nothing else of it is loaded where the variable is not set: see app/debug-file.ts.
 */

export interface DebugFile {
  /** Absolute. */
  readonly path: string;
  /**
   * Appends a line. `error`: its message stands behind the event. Never throws. Neither may have a token in it, a value of the
   * environment, or words of the job's command but the first (see firstWord).
   */
  note(event: string, error?: unknown): void;
  /** The lines from here on are about this job. */
  about(jobId: string): void;
}

/** Undefined where nobody asked for it: `debug?.note(…)` does not even make the text then. */
export let debug: DebugFile | undefined;

export function setDebug(file: DebugFile | undefined): void {
  debug = file;
}

/** Words for the command line of a process of ours, so that it appends to the same file. Its environment stays the caller's. */
export function debugWords(): readonly string[] {
  return debug === undefined ? [] : ["--debug", debug.path];
}

/** All that may be told of a job's command: the rest may be secret, also where it is one word with spaces in it. */
export function firstWord([file = ""]: readonly string[]): string {
  return JSON.stringify(/^\S*/.exec(file)![0]);
}
