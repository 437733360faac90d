/**
 * The table of errors: code, exit code, meaning. Every failure that a user may see is an OrchesjobError with one of these codes
 * and a sentence of its own.
 */
export const EXIT_CODES = {
  /** Any other failure: I/O, a full disk, a file system without locks. */
  general: 1,
  /** The command line is wrong; nothing was done. */
  usage: 2,
  /** No such job, or no job of that run key. */
  "not-found": 3,
  /** The state on disk, or the job's own state, does not allow what was asked. */
  conflict: 4,
  /** Another process held the database for longer than a command waits. */
  locked: 5,
} as const;

export type ErrorCode = keyof typeof EXIT_CODES;

/** A failure that a person reads. `message` is `what` and `hint`: `cannot open /x: permission denied; run: chmod 600 /x`. */
export class OrchesjobError extends Error {
  override readonly name = "OrchesjobError";

  constructor(
    readonly code: ErrorCode,
    /** What failed, with the values. */
    readonly what: string,
    /** What the reader can do; undefined if `what` says it all. */
    readonly hint?: string,
  ) {
    super(hint === undefined ? what : `${what}; ${hint}`);
  }

  get exitCode(): number {
    return EXIT_CODES[this.code];
  }
}

/** A write failed because the disk is full: `general`. A class of its own, so that run-command.ts can name the largest log. */
export class DiskFullError extends OrchesjobError {
  constructor(what: string, hint: string) {
    super("general", what, hint);
  }
}

/**
 * The database cannot be used where it is: `general`. SQLite does not say why, so whoever reports the error asks the system:
 * state/storage-trouble.ts.
 */
export class StorageError extends OrchesjobError {
  constructor(
    what: string,
    hint: string,
    /** The database. */
    readonly path: string,
  ) {
    super("general", what, hint);
  }
}
