/**
 * The one table of errors: a code word, its exit number, and what it means.
 * Every failure that a user may see is an OrchesjobError with one of these codes and a sentence of its own.
 */
export const EXIT_CODES = {
  /** Anything that is none of the others: I/O, a full disk, a file system that cannot lock. */
  general: 1,
  /** The command line is wrong; nothing was done. */
  usage: 2,
  /** No such job, or no job of that run key. */
  "not-found": 3,
  /** The state on disk, or the job's own state, does not allow what was asked. */
  conflict: 4,
  /** Somebody else held the database for longer than a command waits. */
  locked: 5,
} as const;

export type ErrorCode = keyof typeof EXIT_CODES;

/** A failure with a sentence for a person. `message` is all of it: `cannot open /x: permission denied; run: chmod 600 /x`. */
export class OrchesjobError extends Error {
  override readonly name = "OrchesjobError";

  constructor(
    readonly code: ErrorCode,
    /** What failed, with the values. */
    readonly what: string,
    /** What the person who reads it can do; undefined where `what` says it all. */
    readonly hint?: string,
  ) {
    super(hint === undefined ? what : `${what}; ${hint}`);
  }

  get exitCode(): number {
    return EXIT_CODES[this.code];
  }
}

/** Nothing could be written, because there is no space left: `general`. */
export class DiskFullError extends OrchesjobError {
  constructor(what: string, hint: string) {
    super("general", what, hint);
  }
}
