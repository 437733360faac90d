/** What a command has used. */

/** `null`: not known. A number is never a guess. */
export interface Usage {
  /** Time on processors, in user and kernel mode. */
  readonly cpuSeconds: number | null;
  /** The most memory that one process of it had at a time. */
  readonly maxRssBytes: number | null;
  /** Bytes read from storage, not from the page cache. */
  readonly ioReadBytes: number | null;
  /** Bytes written that go to storage, now or later. */
  readonly ioWriteBytes: number | null;
}

/** Bytes read and written as a group of processes, or one process, has caused them. */
export type Transfer = Pick<Usage, "ioReadBytes" | "ioWriteBytes">;

export const NO_TRANSFER: Transfer = { ioReadBytes: null, ioWriteBytes: null };

/** The larger of two counts that both leave something out; the known one if only one is known. */
export function larger(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return a ?? b;
  return Math.max(a, b);
}

/** The kernel's count of memory may be this much behind, in bytes. */
const COUNT_SLACK = 1024 * 1024;

/**
 * Leaves out a peak of memory that may be that of the process which started the command, `inherited` in bytes: the kernel keeps
 * the count when a process executes another program.
 */
export function withoutInherited(usage: Usage, inherited: number): Usage {
  const isOwn = usage.maxRssBytes !== null && usage.maxRssBytes > inherited + COUNT_SLACK;
  return isOwn ? usage : { ...usage, maxRssBytes: null };
}
