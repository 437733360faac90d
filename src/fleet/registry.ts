/**
 * The interface of the registry: the store that all members of a fleet share, as verbs. It decides who may run a key, and has a
 * copy of every job. A verb throws OrchesjobError `locked` if the registry cannot be reached; then it may or may not have been
 * executed, and all of them are safe to repeat. Times of the answers are by the clock of the registry.
 */
import type { OnPartition } from "../job/fleet.ts";
import type { CancelRequest, Instant, Job } from "../job/job.ts";
import type { PublishedOutput } from "../store/fleet.ts";
import type { Override, RequestedJob } from "../store/keys.ts";
import type { CleanedJob, ListFilter } from "../store/store.ts";

/** Why the registry does not do what a member asks for. */
export type Refusal =
  /** It does not know the member, or the member has left. */
  | { readonly refused: "unknown" | "left" }
  /** Another boot or machine uses the same membership: a copy of the disk. */
  | { readonly refused: "cloned"; readonly host: string; readonly waitMs: number }
  /** It may have lost what it had acknowledged, and waits until all members have published again. */
  | { readonly refused: "recovery"; readonly waitMs: number }
  /** The key is not as the caller expects: look again. */
  | { readonly refused: "changed" };

export interface Grant {
  readonly refused?: undefined;
  readonly fencingToken: number;
  readonly attemptNo: number;
  readonly onPartition: OnPartition;
}

export interface ClaimOrder {
  readonly job: Job;
  /** What the caller asks for; null: the default of its member. */
  readonly onPartition: OnPartition | null;
  /** Attempt number of the member's own newest job of the key; 0: it has none. */
  readonly attemptNo: number;
  /** The newest job of the key in the fleet; null: there is none. */
  readonly expected: string | null;
  readonly strict: boolean;
  readonly useOverride: boolean;
}

/** What a start must know of a key. */
export interface KeyState {
  readonly newest: Job | undefined;
  /** The job of the caller's request id. */
  readonly requested: RequestedJob | undefined;
  readonly strictJobId: string | undefined;
  readonly override: Override | undefined;
}

/** What a member says about one of its jobs. */
export interface Announcement {
  readonly job: Job;
  /** Counts the changes of the job: a smaller one never replaces a larger one. */
  readonly change: number;
  readonly holdsKey: boolean;
  /** Whether the member may not end one of its processes: then no lease can end it either. */
  readonly isUnstoppable: boolean;
  readonly requestIds: readonly string[];
  readonly strict: boolean;
  readonly output: PublishedOutput | null;
  /** The next attempt of a job that has failed, which takes over its key in the same moment; null: there is none. */
  readonly successor: Announcement | null;
}

/** `revoked`: its key was given away, so its member must end it. `later`: another session may still speak for it. */
export interface PublishResult {
  readonly result: "published" | "revoked" | "later";
  /** The fencing token of the successor; null: there is none, or its key was given away. */
  readonly grantedToken: number | null;
}

export interface Renewal {
  readonly refused?: undefined;
  /** Changes when the registry may have forgotten something: everything must be published again. */
  readonly epoch: number;
  /** The jobs of the member that hold their keys, and what other members want of them. */
  readonly holds: readonly {
    readonly jobId: string;
    /** The count of changes that the registry has. */
    readonly change: number;
    readonly cancelRequest: CancelRequest | null;
  }[];
  readonly revoked: readonly string[];
}

export interface Member {
  readonly name: string;
  readonly memberId: string;
  readonly host: string | null;
  readonly address: string | null;
  readonly stateDirectory: string;
  /** Of its newest session; null: it has none. */
  readonly bootId: string | null;
  readonly machineId: string | null;
  readonly version: string;
  readonly leaseMs: number;
  /** Time until its lease is over, in ms, negative: since; null: it has no session. */
  readonly leaseLeftMs: number | null;
  readonly onPartition: OnPartition;
  /** Changes that it has not published, as it last said. */
  readonly unpublished: number;
  readonly renewedAt: Instant | null;
  readonly active: number;
}

export interface MemberTerms {
  readonly name: string;
  readonly leaseMs: number;
  readonly onPartition: OnPartition;
  /** The largest fencing token that the state directory has given out by itself. */
  readonly lastToken: number;
}

/** Facts about the registry, for doctor. */
export interface RegistryFacts {
  /** `postgresql HOST:PORT/DATABASE`, without a secret. */
  readonly place: string;
  readonly schemaVersion: number;
  readonly epoch: number;
  /** 0: none is under way. */
  readonly recoveryMs: number;
  readonly now: Instant;
  readonly isLocal: boolean;
  /** Whether it waits for a second server before it acknowledges. */
  readonly isReplicatedSynchronously: boolean;
  /** Whether it may lose what it has acknowledged when its machine crashes. */
  readonly isUnsafe: boolean;
  /** Why the recovery has begun; null: there was none. */
  readonly recoveryReason: string | null;
  /** The functions that the connected role may not call. */
  readonly missingRights: readonly string[];
  readonly memberCount: number;
  /** How many of them have a lease now. One without jobs needs none. */
  readonly membersWithLease: number;
}

/** The job that a `clean` has looked at last. */
export interface CleanCursor {
  readonly ended: Instant;
  readonly job_id: string;
}

export interface Registry {
  lookUp(runKey: string, requestId: string | null): Promise<KeyState>;
  claim(order: ClaimOrder): Promise<Grant | Refusal>;
  /** Gives a claim back of which nothing became. */
  withdraw(jobId: string): Promise<void>;
  bindRequest(runKey: string, requestId: string, jobId: string, command: readonly string[]): Promise<void>;
  unlock(runKey: string, reason: string | null, ttlMs: number | null): Promise<void>;

  publish(jobs: readonly Announcement[]): Promise<readonly PublishResult[] | Refusal>;
  /** Extends the lease of the member. `unpublished`: how many changes it has yet to publish. */
  renew(unpublished: number): Promise<Renewal | Refusal>;

  /** Jobs whose ids begin like this, at most `limit`. */
  find(beginning: string, limit: number): Promise<readonly Job[]>;
  /** Newest first. */
  history(runKey: string): Promise<readonly Job[]>;
  /** Newest first. */
  list(filter: ListFilter): Promise<readonly Job[]>;
  output(jobId: string): Promise<PublishedOutput | undefined>;
  /** Asks the member of a job to cancel it; undefined if there is no such job. */
  requestCancel(jobId: string, request: CancelRequest): Promise<Job | undefined>;

  members(): Promise<readonly Member[]>;
  join(
    terms: MemberTerms,
  ): Promise<{ readonly joined: true } | { readonly host: string; readonly stateDirectory: string }>;
  /** Returns the jobs that hold a key, if there are any: then it has not left. */
  leave(): Promise<readonly { readonly jobId: string; readonly runKey: string }[]>;
  /** Frees the keys of a member whose host is dead; undefined if there is no such member. */
  forget(
    name: string,
    reason: string,
  ): Promise<readonly { readonly jobId: string; readonly runKey: string }[] | undefined>;
  /**
   * Looks at the next `limit` finished jobs that ended before a time, and deletes all but the newest `keep` of each key. Begins
   * after `after`; null: with the oldest. Returns how many it has deleted, and where to go on; null: it has looked at all. With `dry`
   * it deletes nothing, and returns the jobs that it would delete.
   */
  clean(
    before: Instant,
    keep: number,
    limit: number,
    after: CleanCursor | null,
    dry: boolean,
  ): Promise<{
    readonly deleted: number;
    readonly jobs: readonly CleanedJob[] | null;
    readonly next: CleanCursor | null;
  }>;

  describe(): Promise<RegistryFacts>;
  /** Whether the connection to the server has TLS. */
  isEncrypted(): Promise<boolean>;
  /** Has whoever listens to a job notified of its changes. */
  expectNews(jobId: string): Promise<void>;
  /**
   * Calls back when there is news of this member, or of a job that is expected, and after each reconnection. False if the registry cannot
   * notify: it is reached through a pooler.
   */
  listen(
    topic: { readonly member: true } | { readonly jobId: string },
    callback: () => void,
  ): Promise<boolean>;
  /** Gives the connection up. The next verb connects again. */
  disconnect(): Promise<void>;
}
