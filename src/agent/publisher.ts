/** Publishes what changed in the local store, until the registry has it. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { announce } from "../fleet/announce.ts";
import type { FleetMember } from "../fleet/member.ts";
import { refusalError } from "../fleet/refusal.ts";
import type { Announcement, PublishResult } from "../fleet/registry.ts";
import { hasOrphans, OrphanFinder } from "../jobs/orphan-finder.ts";
import { now } from "../linux/clock.ts";
import { maySignal } from "../linux/pidfd.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { wakeOwner } from "../state/job-lock.ts";
import { lockFilePath } from "../state/paths.ts";
import type { Heard, Publication } from "../store/publications.ts";
import type { JobStore } from "../store/store.ts";

/** The most jobs in one question. Each may bring 128 KiB of output. */
const BATCH = 50;

/** How often to look at a process that seems to be none of ours before its job counts as unstoppable. */
const DOUBTFUL_LOOKS = 5;
const DOUBTFUL_PAUSE_MS = 20;

/** A start takes some ms, and the registry knows of it by the claim. So its steps are not published one by one. */
const START_MICROS = 1_000_000;

/** Of the time of an attempt: its worker may wait for us already. */
const SOON_MICROS = 100_000;

function isStarting({ status, target, startedAt }: Job): boolean {
  return isActive(status) && target === null && now() - startedAt < START_MICROS;
}

export class Publisher {
  /** Jobs of another session of ours, which may not be spoken for yet. */
  readonly #later = new Set<string>();
  /** Jobs whose keys were given away. */
  readonly revoked = new Set<string>();
  /** Jobs that have ended but still hold their keys, because processes of them live. */
  readonly #survived = new Set<string>();
  #unstoppable = new Set<string>();

  constructor(
    readonly context: Context,
    readonly member: FleetMember,
    readonly store: JobStore,
  ) {}

  /** Publishes all that is pending; returns how much could not be. Throws `locked` if the registry cannot be reached. */
  async publish(): Promise<number> {
    const publications = await this.store.publications();
    for (;;) {
      const pending = await publications.next(2 * BATCH + this.#later.size);
      const isDue = ({ job }: Publication) => !this.#later.has(job.jobId) && !isStarting(job);
      const batch = pending.filter(isDue).slice(0, BATCH);
      if (batch.length === 0) return pending.length;
      const finder = new OrphanFinder(this.context);
      const results = await this.#sendAll(batch.map((each) => this.#announce(each, finder)));
      const heard = batch.flatMap(({ job, change, successor }, index) => {
        const { result, grantedToken } = results[index]!;
        if (result === "later") this.#later.add(job.jobId);
        if (result === "revoked") this.revoked.add(job.jobId);
        return result === "later" ? [] : [{ job, change, successor, grantedToken }];
      });
      await publications.markPublished(heard);
      this.#tellSuccessors(heard);
      debug?.note(`published ${heard.length} jobs`);
    }
  }

  /** Tells attempts that the registry has accepted them. Those whose time has not come look by themselves when it comes. */
  #tellSuccessors(heard: readonly Heard[]): void {
    for (const { successor, grantedToken } of heard) {
      if (successor === null) continue;
      const { jobId, status, retry } = successor.job;
      if (grantedToken === null && isActive(status)) this.revoked.add(jobId);
      else if ((retry?.at ?? 0) <= now() + SOON_MICROS) wakeOwner(lockFilePath(this.context.home, jobId));
    }
  }

  /** Tries again what could not be published, at the next opportunity. */
  retry(): void {
    this.#later.clear();
  }

  /** If the registry does not take one of them as it is, that one must not keep the others back. */
  async #sendAll(announcements: readonly Announcement[]): Promise<readonly PublishResult[]> {
    try {
      return await this.#send(announcements);
    } catch (error) {
      if (!(error instanceof OrchesjobError) || error.code !== "general") throw error;
      debug?.note("the registry refuses a publication", error);
      if (announcements.length === 1) return [{ result: "later", grantedToken: null }];
    }
    const results: PublishResult[] = [];
    for (const each of announcements) results.push(...(await this.#sendAll([each])));
    return results;
  }

  async #send(announcements: readonly Announcement[]): Promise<readonly PublishResult[]> {
    const answer = await this.member.registry.publish(announcements);
    if (Array.isArray(answer)) return answer;
    const refusal = answer as Exclude<typeof answer, readonly PublishResult[]>;
    if (refusal.refused === "unknown") {
      await this.member.rejoin(await (await this.store.publications()).lastToken());
      return this.#send(announcements);
    }
    if (refusal.refused === "changed")
      return announcements.map(() => ({ result: "later", grantedToken: null }));
    throw refusalError(refusal, this.member.membership);
  }

  #announce(publication: Publication, finder: OrphanFinder): Announcement {
    const { job } = publication;
    const isSurvived = !isActive(job.status) && hasOrphans(finder.find(job));
    if (isSurvived) this.#survived.add(job.jobId);
    else this.#survived.delete(job.jobId);
    const holdsKey = isActive(job.status) || isSurvived;
    return announce(this.member, publication, { holdsKey, isUnstoppable: this.#unstoppable.has(job.jobId) });
  }

  /** Whether processes of jobs that have ended must be looked after: their end changes nothing in the store. */
  get hasSurvivors(): boolean {
    return this.#survived.size > 0;
  }

  /** Has those jobs published again whose last process has ended. */
  async lookForSurvivors(): Promise<void> {
    const finder = new OrphanFinder(this.context);
    for (const jobId of this.#survived) {
      const job = await this.store.find(jobId);
      if (job !== undefined && hasOrphans(finder.find(job))) continue;
      this.#survived.delete(jobId);
      await (await this.store.publications()).repeat(jobId);
    }
  }

  /** A process that begins or ends in this moment is not visible, or cannot be signalled any more: only looking again tells. */
  async #isUnstoppable(job: Job): Promise<boolean> {
    // What has not begun is judged at the next renewal.
    if (job.target === null) return false;
    for (let looks = 1; ; looks++) {
      const { seen, unseen } = new OrphanFinder(this.context).ofActive(job);
      if (!unseen && seen.every(({ pid }) => maySignal(pid))) return false;
      if (looks === DOUBTFUL_LOOKS || this.#unstoppable.has(job.jobId)) return true;
      await Bun.sleep(DOUBTFUL_PAUSE_MS);
    }
  }

  /** Finds out of which jobs we may not end a process: then their keys wait for their host, as no lease can end them. */
  async markUnstoppable(active: readonly Job[]): Promise<void> {
    const found = new Set<string>();
    for (const job of active)
      if (job.onPartition === "stop" && (await this.#isUnstoppable(job))) found.add(job.jobId);
    const changed = [...found.symmetricDifference(this.#unstoppable)];
    this.#unstoppable = found;
    const publications = await this.store.publications();
    for (const jobId of changed) await publications.repeat(jobId);
  }
}
