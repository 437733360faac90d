/**
 * The lease of a member, as its processes see it: the file `fleet.lease`, written by whoever has renewed the session, read by the
 * workers. Its deadline is on CLOCK_BOOTTIME, which nobody sets, and which counts the time that a machine is suspended. It counts
 * from before the registry was asked, so it is never later than the registry's own.
 */
import { bootTimeMs } from "../linux/clock.ts";
import { closeFile, openFile, readTextIfAny, writeAll } from "../linux/file.ts";
import { replacePrivateFile } from "../linux/text-file.ts";
import { debug } from "../state/debug.ts";
import { type Home, memberFiles } from "../state/paths.ts";

export interface Lease {
  readonly bootId: string;
  /** The session, and how often it was renewed, as the registry last said; 0: not yet. */
  readonly sessionId: number;
  readonly beat: number;
  readonly epoch: number;
  readonly leaseMs: number;
  /** In ms of CLOCK_BOOTTIME. */
  readonly deadline: number;
}

/** The lease of this boot; undefined if there is none. */
export function readLease(home: Home, bootId: string): Lease | undefined {
  const lease = readAny(home);
  return lease?.bootId === bootId ? lease : undefined;
}

function readAny(home: Home): Lease | undefined {
  try {
    return JSON.parse(readTextIfAny(memberFiles(home).lease) ?? "") as Lease;
  } catch {
    return undefined;
  }
}

/** What the registry last said about the session of this boot, and the epoch that it then knew; 0: nothing yet. */
export function recallSession(home: Home, bootId: string): Pick<Lease, "sessionId" | "beat" | "epoch"> {
  const lease = readAny(home);
  const { sessionId = 0, beat = 0 } = lease?.bootId === bootId ? lease : {};
  return { sessionId, beat, epoch: lease?.epoch ?? 0 };
}

/** The epoch of the registry in which everything was published, as far as it is known; 0: none. */
export function knownEpoch(home: Home): number {
  return readAny(home)?.epoch ?? 0;
}

/** Notes the epoch of the registry; returns whether it is another one than before. */
export function rememberEpoch(home: Home, epoch: number): boolean {
  const lease = readAny(home);
  if (lease?.epoch === epoch) return false;
  if (lease !== undefined) write(home, { ...lease, epoch });
  return true;
}

/** Writes a renewed lease, unless a later one is there. */
export function writeLease(home: Home, lease: Lease): void {
  const known = readLease(home, lease.bootId);
  const deadline =
    known?.sessionId === lease.sessionId ? Math.max(known.deadline, lease.deadline) : lease.deadline;
  // Not synced: after a crash of the machine it is of another boot.
  write(home, { ...lease, deadline });
}

/** Blanks behind the JSON, so that a longer text fits into the same file. */
const LEASE_CHARACTERS = 400;

/** On a full disk, writes over the file that is there: the lease must go on. If even that fails, the lease is not extended here. */
function write(home: Home, lease: Lease): void {
  const path = memberFiles(home).lease;
  const text = JSON.stringify(lease).padEnd(LEASE_CHARACTERS);
  try {
    replacePrivateFile(path, text, false);
  } catch (error) {
    debug?.note("cannot replace the lease", error);
    try {
      const fd = openFile(path, "write");
      writeAll(fd, new TextEncoder().encode(text));
      closeFile(fd);
    } catch (failure) {
      debug?.note("cannot write the lease", failure);
    }
  }
}

/** The longest time between TERM and KILL for a job that a lease ends, in ms. */
const LONGEST_GRACE_MS = 5_000;

/** When a job is ended because its member's lease is not renewed. */
export function partitionTerms(leaseMs: number): {
  /** Time between TERM and KILL, in ms. */
  readonly graceMs: number;
  /** Time before the deadline at which TERM is sent, in ms: KILL has worked by then. */
  readonly leadMs: number;
  /** How often a worker looks, in ms. */
  readonly tickMs: number;
} {
  const graceMs = Math.min(LONGEST_GRACE_MS, leaseMs / 6);
  return {
    graceMs,
    leadMs: graceMs + Math.min(LONGEST_GRACE_MS, leaseMs / 6),
    tickMs: Math.min(1_000, leaseMs / 20),
  };
}

/** Whether a job that must not outlast the lease has to end now. */
export function isDue(lease: Lease | undefined, leaseMs: number): boolean {
  const { leadMs } = partitionTerms(leaseMs);
  return lease === undefined || bootTimeMs() >= lease.deadline - leadMs;
}
