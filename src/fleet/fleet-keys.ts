/**
 * Decides who may run a key in a fleet: the registry first, then the local store. An active job of this member is the answer
 * without asking anybody. What cannot be asked is not started.
 */
import { formatDuration } from "../job/duration.ts";
import { OrchesjobError } from "../job/errors.ts";
import type { Instant, Job, NewJob } from "../job/job.ts";
import { acceptedJob } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { probeLock } from "../linux/file-lock.ts";
import { debug } from "../state/debug.ts";
import { lockFilePath } from "../state/paths.ts";
import type { ClaimTerms, Keys, RequestedJob, Strictness } from "../store/keys.ts";
import type { Publications } from "../store/publications.ts";
import type { JobStore } from "../store/store.ts";
import type { OwnMember } from "./own-member.ts";
import { refusalError } from "./refusal.ts";
import { announce } from "./announce.ts";
import { ensureAgent } from "./spawn-agent.ts";
import type { ClaimOrder, Grant, KeyState, PublishResult, Refusal } from "./registry.ts";

const MOST_REFUSALS = 50;

export class FleetKeys implements Keys {
  /** The last answer of the registry; fresh until a look at the newest job has used it. */
  #state: KeyState | undefined;
  #isFresh = false;
  #refusals = 0;

  constructor(
    readonly fleet: OwnMember,
    readonly local: JobStore,
  ) {}

  async findRequest(runKey: string, requestId: string): Promise<RequestedJob | undefined> {
    const here = await this.local.findRequest(runKey, requestId);
    if (here !== undefined) return here;
    const { requested } = await this.#lookUp(runKey, requestId);
    return requested && { ...requested, job: await this.#own(requested.job) };
  }

  async latest(runKey: string): Promise<Job | undefined> {
    const here = await this.local.latest(runKey);
    if (here !== undefined && isActive(here.status)) return here;
    const { newest } = this.#isFresh ? this.#state! : await this.#lookUp(runKey, null);
    this.#isFresh = false;
    if (newest === undefined) return here;
    // The registry has yet to hear that this one follows.
    if (here !== undefined && here.retry?.ofJobId === newest.jobId) return here;
    // After a recovery the job that holds the key may have the older token.
    const isHeld = newest.elsewhere?.holdsKey === true && !this.fleet.isOwn(newest);
    if (here !== undefined && !isHeld && (here.fencingToken ?? 0) >= (newest.fencingToken ?? 0)) return here;
    return this.#own(newest);
  }

  async #lookUp(runKey: string, requestId: string | null): Promise<KeyState> {
    this.#state = await nothingStarted(this.fleet.registry.lookUp(runKey, requestId));
    this.#isFresh = true;
    return this.#state;
  }

  /** Our own record of a job is newer than the registry's. A claim of ours without a record is given back: nothing became of it. */
  async #own(job: Job): Promise<Job> {
    if (!this.fleet.isOwn(job)) return job;
    const lock = probeLock(lockFilePath(this.fleet.home, job.jobId));
    const here = await this.local.find(job.jobId);
    if (here !== undefined) return here;
    if (isActive(job.status) && lock !== "held") {
      await this.fleet.registry.withdraw(job.jobId);
      return (await this.fleet.registry.find(job.jobId, 1))[0] ?? job;
    }
    return job;
  }

  async strictness(runKey: string): Promise<Strictness> {
    const { strictJobId, override } = this.#state ?? (await this.#lookUp(runKey, null));
    return { strictJobId, override };
  }

  async bindRequest(
    runKey: string,
    requestId: string,
    jobId: string,
    command: readonly string[],
  ): Promise<void> {
    await nothingStarted(this.fleet.registry.bindRequest(runKey, requestId, jobId, command));
    if ((await this.local.find(jobId)) !== undefined)
      await this.local.bindRequest(runKey, requestId, jobId, command);
  }

  async unlock(runKey: string, reason: string | null, at: Instant, expiresAt: Instant | null): Promise<void> {
    await this.fleet.registry.unlock(runKey, reason, expiresAt === null ? null : (expiresAt - at) / 1000);
  }

  async claim(job: NewJob, terms: ClaimTerms, at: Instant): Promise<Job | undefined> {
    const { runKey } = job;
    const here = await this.local.latest(runKey);
    // It looks after the job from here on, and gives the claim back if nothing becomes of it.
    ensureAgent(this.fleet.home);
    const publications = await this.local.publications();
    // Somebody may have put a database back from before the join.
    await publications.track();
    if (here !== undefined) await this.#publishEnd(publications, here);
    const order = {
      job: acceptedJob(job, at),
      onPartition: job.onPartition,
      attemptNo: here?.attemptNo ?? 0,
      expected: terms.expected ?? null,
      strict: terms.strict,
      useOverride: terms.useOverride,
    };
    const grant = await this.#grant(order);
    if (grant === undefined) return this.#lookAgain(runKey);
    // Again: it may have ended for lack of work just before the claim.
    ensureAgent(this.fleet.home);
    const { fencingToken, attemptNo, onPartition } = grant;
    debug?.note(`the registry grants attempt ${attemptNo} with token ${fencingToken}`);
    const accepted = await this.local.claim(
      { ...job, attemptNo, onPartition },
      { ...terms, expected: here?.jobId, useOverride: false, fencingToken },
      at,
    );
    if (accepted === undefined) await this.fleet.registry.withdraw(job.jobId);
    return accepted;
  }

  /** Another start was faster. Callers of a busy key must not ask in step for ever. */
  async #lookAgain(runKey: string): Promise<undefined> {
    debug?.note("the registry refuses the claim: the key has changed");
    this.#refusals += 1;
    if (this.#refusals > MOST_REFUSALS)
      throw new OrchesjobError(
        "locked",
        `the registry of the fleet has refused run key ${JSON.stringify(runKey)} ${MOST_REFUSALS} times, because other starts were faster`,
        "nothing was started; try again",
      );
    if (this.#refusals > 1) await Bun.sleep(Math.random() * 10 * this.#refusals);
    return undefined;
  }

  async #grant(order: ClaimOrder): Promise<Grant | undefined> {
    let answer: Grant | Refusal = await nothingStarted(this.fleet.registry.claim(order));
    if (answer.refused === "unknown") {
      await this.fleet.rejoin(await (await this.local.publications()).lastToken());
      answer = await nothingStarted(this.fleet.registry.claim(order));
    }
    if (answer.refused === undefined) return answer;
    if (answer.refused === "changed") return undefined;
    throw refusalError(answer, this.fleet.membership);
  }

  /** The registry may not have heard yet that the key's last job of this member has ended. */
  async #publishEnd(publications: Publications, { jobId, retry, fencingToken }: Job): Promise<void> {
    // An attempt that the registry has not accepted yet is published together with the one before.
    if (retry?.ofJobId != null && fencingToken === null) await this.#publish(publications, retry.ofJobId);
    await this.#publish(publications, jobId);
  }

  async #publish(publications: Publications, jobId: string): Promise<void> {
    const publication = await publications.pending(jobId);
    if (publication === undefined) return;
    const { job, change, successor } = publication;
    const announcement = announce(this.fleet, publication, { holdsKey: false, isUnstoppable: false });
    const answer = await nothingStarted(this.fleet.registry.publish([announcement]));
    if (!isResults(answer)) return;
    const { result, grantedToken } = answer[0]!;
    if (result === "later")
      throw new OrchesjobError(
        "locked",
        `the registry of the fleet still has the session that this host had before it was started anew, and job ${job.jobId} belongs to it; nothing was started`,
        `it ends at most ${formatDuration(2 * this.fleet.membership.leaseMs)} after its last renewal: try again then`,
      );
    if (result === "published") await publications.markPublished([{ job, change, successor, grantedToken }]);
  }
}

function isResults(answer: readonly PublishResult[] | Refusal): answer is readonly PublishResult[] {
  return Array.isArray(answer);
}

/** Adds to an error of the registry that nothing was started. */
async function nothingStarted<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof OrchesjobError)) throw error;
    throw new OrchesjobError(error.code, `${error.what}; nothing was started`, error.hint);
  }
}
