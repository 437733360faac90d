/** Resource limits of our own process, which children inherit: see getrlimit(2). */
import { libc } from "./libc.ts";

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

/** Raises the soft limit to the hard one; returns what it was. */
export function raiseSoftLimit(resource: number): bigint {
  const before = new BigUint64Array(2);
  libc.getrlimit(resource, before);
  setSoftLimit(resource, before[1]);
  return before[0]!;
}
