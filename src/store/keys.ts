/** The part of the store that decides who may run a key. In a fleet, the registry decides as well (fleet/fleet-keys.ts). */
import type { Instant, Job, NewJob } from "../job/job.ts";

export interface ClaimTerms {
  /** Id of the key's newest job when the caller looked; undefined if there was none. */
  readonly expected: string | undefined;
  /** The token that the registry of the fleet has given; undefined: there is no fleet, and the store gives one. */
  readonly fencingToken?: number;
  /** Record that the key is strict. */
  readonly strict: boolean;
  /** Use up the run that `unlock` has allowed. */
  readonly useOverride: boolean;
}

/** The permission that `unlock` has given. */
export interface Override {
  readonly reason: string | null;
}

export interface Strictness {
  /** The job of an earlier strict start; the history may not have it any more. */
  readonly strictJobId: string | undefined;
  /** One more run is allowed, for this reason (null: none was given); undefined: it is not. */
  readonly override: Override | undefined;
}

/** The job that a caller's retry token belongs to. */
export interface RequestedJob {
  readonly job: Job;
  /**
   * What was asked for when the token was bound to a job that was there already. Null: the job was accepted for the token, or it
   * is not known.
   */
  readonly command: readonly string[] | null;
}

/** The verbs that decide who may run a key: those of the state directory's own store, or, in a fleet, of the registry as well. */
export interface Keys {
  /**
   * Accepts a job: creates it, STARTING. Durable when it returns. Undefined if the key's newest job is not the expected one,
   * or is active (only one job of a key may be), or the expected override is gone, or the request id belongs to a job already:
   * then the caller must look again.
   */
  claim(job: NewJob, terms: ClaimTerms, at: Instant): Promise<Job | undefined>;

  /** The newest job of a run key. */
  latest(runKey: string): Promise<Job | undefined>;
  findRequest(runKey: string, requestId: string): Promise<RequestedJob | undefined>;
  /** Binds a retry token, given with a command, to a job, unless it belongs to one already. Durable when it returns. */
  bindRequest(runKey: string, requestId: string, jobId: string, command: readonly string[]): Promise<void>;
  /** What is known of a run key's strictness, apart from its history. */
  strictness(runKey: string, at: Instant): Promise<Strictness>;
  /** Allows one more run of a strict key, until `expiresAt` (null: for ever). */
  unlock(runKey: string, reason: string | null, at: Instant, expiresAt: Instant | null): Promise<void>;
}
