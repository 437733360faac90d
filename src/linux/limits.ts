/** Resource limits of our own process, which children inherit: see getrlimit(2). */
import { OrchesjobError } from "../job/errors.ts";
import { libc } from "./ffi/libc.ts";

export const RLIMIT_FSIZE = 1;
export const RLIMIT_NOFILE = 7;

/** Sets the soft limit, at most to the hard one; undefined leaves it. Returns a function that restores it. */
export function setSoftLimit(resource: number, soft: bigint | undefined): () => void {
  const before = new BigUint64Array(2);
  libc.getrlimit(resource, before);
  const hard = before[1]!;
  if (soft === undefined || soft === before[0]) return () => {};
  libc.setrlimit(resource, new BigUint64Array([soft < hard ? soft : hard, hard]));
  return () => libc.setrlimit(resource, before);
}

/** The size that the database's write-ahead log reaches with one caller at a time, in bytes, and some more. */
export const LEAST_FILE_SIZE = 8n * 1024n * 1024n;

/** The runtime has about ten files open; a launcher ten more, at numbers from 20 on. */
const LEAST_OPEN_FILES = 40n;

/**
 * Raises the soft limit to the hard one; returns the former soft limit. Throws `general` if the hard limit is below `least`: a
 * job could be accepted whose result could never be written.
 */
export function raiseSoftLimit(resource: number, least: bigint): bigint {
  const before = new BigUint64Array(2);
  libc.getrlimit(resource, before);
  const soft = before[0]!;
  const hard = before[1]!;
  if (hard < least) {
    throw new OrchesjobError(
      "general",
      `the file size limit is ${hard} bytes, but the database needs ${least}`,
      "raise the hard limit (ulimit -f, LimitFSIZE=)",
    );
  }
  setSoftLimit(resource, hard);
  return soft;
}

/** Explains a failure to open a file to the user, if the limit of open files is too low; undefined if it is not. */
export function describeFileLimit(): string | undefined {
  const limit = new BigUint64Array(2);
  libc.getrlimit(RLIMIT_NOFILE, limit);
  // The runtime has raised its soft limit to the hard one.
  const hard = limit[1]!;
  if (hard >= LEAST_OPEN_FILES) return undefined;
  return `the open file limit is ${hard}, but orchesjob needs ${LEAST_OPEN_FILES}; raise the hard limit (ulimit -n, LimitNOFILE=)`;
}
