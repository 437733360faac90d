/** Resource limits of our own process, which children inherit: see getrlimit(2). */
import { OrchesjobError } from "../job/errors.ts";
import { libc } from "./ffi/libc.ts";

export const RLIMIT_FSIZE = 1;
export const RLIMIT_NOFILE = 7;

/** Sets the soft limit, at most to the hard one; undefined: leaves it. Returns what takes it back. */
export function setSoftLimit(resource: number, soft: bigint | undefined): () => void {
  const before = new BigUint64Array(2);
  libc.getrlimit(resource, before);
  const hard = before[1]!;
  if (soft === undefined || soft === before[0]) return () => {};
  libc.setrlimit(resource, new BigUint64Array([soft < hard ? soft : hard, hard]));
  return () => libc.setrlimit(resource, before);
}

/** What the database's write-ahead log grows to with one caller at a time, in bytes, and some more. */
export const LEAST_FILE_SIZE = 8n * 1024n * 1024n;

/** The runtime has about ten files open; a launcher ten more, at numbers from 20 on. */
const LEAST_OPEN_FILES = 40n;

/**
 * Raises the soft limit to the hard one; returns what it was. Throws `general` where the hard one is less than `least`: then
 * a job could be accepted, and its result never be written.
 */
export function raiseSoftLimit(resource: number, least: bigint): bigint {
  const before = new BigUint64Array(2);
  libc.getrlimit(resource, before);
  const soft = before[0]!;
  const hard = before[1]!;
  if (hard < least) {
    throw new OrchesjobError(
      "general",
      `the limit of file sizes is ${hard} bytes, and the database needs ${least}`,
      "raise the hard limit (ulimit -f, LimitFSIZE=)",
    );
  }
  setSoftLimit(resource, hard);
  return soft;
}

/** What is behind a failure that names a file or a descriptor, where too few may be open; undefined where enough may be. */
export function describeFileLimit(): string | undefined {
  const limit = new BigUint64Array(2);
  libc.getrlimit(RLIMIT_NOFILE, limit);
  // The runtime has raised its soft limit to the hard one.
  const hard = limit[1]!;
  if (hard >= LEAST_OPEN_FILES) return undefined;
  return `the limit of open files is ${hard}, and orchesjob needs ${LEAST_OPEN_FILES}; raise the hard limit (ulimit -n, LimitNOFILE=)`;
}
