/** What a job of a fleet has beside that of a single host. */

export const ON_PARTITIONS = ["continue", "stop"] as const;
/**
 * What happens to a job whose member cannot renew its lease. `continue`: its command goes on, and its key waits for its host.
 * `stop`: its worker ends it before the lease is over, and later another member may run the key.
 */
export type OnPartition = (typeof ON_PARTITIONS)[number];

export const DEFAULT_LEASE_MS = 60_000;
/** A shorter lease would end with each hiccup of a network. */
export const SHORTEST_LEASE_MS = 1_000;
export const LONGEST_LEASE_MS = 86_400_000;

/** Where a job of another member is, and how old the news is. */
export interface Elsewhere {
  readonly member: string;
  readonly memberId: string;
  readonly host: string;
  /** The state directory on its host. */
  readonly home: string;
  /** When its member was last heard about this job, by the clock of the registry: microseconds since 1970. */
  readonly asOf: number;
  /** Whether it holds its run key: it is active, or processes of it still live. */
  readonly holdsKey: boolean;
  /** Time since the lease of its member ended, in ms; 0: it has not. */
  readonly silentMs: number;
}

/** 2^24 tokens fit into each minute. */
const TOKENS_PER_MICROSECOND = 2 ** 24 / 60_000_000;

/**
 * The least fencing token of a job that is accepted at a time (microseconds since 1970). Tokens count on from there, so they also grow after a backup
 * was restored. The registry has the same rule (token_floor).
 */
export function leastToken(at: number): number {
  const tokens = at * TOKENS_PER_MICROSECOND;
  // Without Math, whose first use takes 110,000 instructions.
  return tokens - (tokens % 1);
}
