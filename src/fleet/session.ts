/** What a member says about itself with each question, and what it remembers of the answers: its lease. */
import type { Origin } from "../job/job.ts";
import { readTextIfAny } from "../linux/file.ts";
import { statPath } from "../linux/stat.ts";
import type { Home } from "../state/paths.ts";
import { knownEpoch, recallSession, writeLease } from "./lease.ts";
import type { Membership } from "./membership.ts";

export interface SessionFacts {
  readonly member_id: string;
  /** See incarnationOf. */
  readonly boot_id: string;
  readonly machine_id: string;
  readonly host: string;
  readonly state_directory: string;
  readonly version: string;
  /** As the registry last said; 0: nothing yet. */
  readonly session_id: number;
  readonly beat: number;
  readonly epoch: number;
}

/** The part of an answer that is about the session. */
export interface SessionAnswer {
  readonly refused?: string;
  readonly session_id?: number;
  readonly beat?: number;
  readonly epoch?: number;
  /** 0: the lease was not extended, because enough of it is left. */
  readonly lease_ms?: number;
}

/**
 * What tells sessions of a member apart: the boot of the host, and the directory itself. A copy of the directory has another inode,
 * so it never speaks for the jobs of its original.
 */
export function incarnationOf(home: Home, { bootId }: Origin): string {
  return `${bootId}/${statPath(home.path)?.inode ?? 0}`;
}

export class Session {
  readonly #machineId = (readTextIfAny("/etc/machine-id") ?? "").trim();

  constructor(
    readonly home: Home,
    readonly membership: Membership,
    readonly origin: Origin,
    readonly version: string,
  ) {}

  describe(): SessionFacts {
    const { memberId } = this.membership;
    const { bootId, host } = this.origin;
    const { sessionId, beat, epoch } = recallSession(this.home, bootId);
    const incarnation = incarnationOf(this.home, this.origin);
    return {
      ...{ member_id: memberId, boot_id: incarnation, machine_id: this.#machineId, host },
      ...{ state_directory: this.home.path, version: this.version, session_id: sessionId, beat, epoch },
    };
  }

  /** Notes an extended lease. `askedAt`: when the question was sent, in ms of bootTimeMs. */
  hear(answer: SessionAnswer, askedAt: number): void {
    const { session_id: sessionId, beat = 0, lease_ms: leaseMs = 0 } = answer;
    if (sessionId === undefined || leaseMs === 0) return;
    const { bootId } = this.origin;
    writeLease(this.home, {
      ...{ bootId, sessionId, beat, leaseMs },
      // Only the agent goes on to a new epoch, once it has noted that everything must be published again.
      epoch: knownEpoch(this.home),
      deadline: askedAt + leaseMs,
    });
  }
}
