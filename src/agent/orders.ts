/** Renews the session, and does what the registry says in its answer: cancel, revoke, give back, publish again. */
import type { CancelRequest, Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { isDue, partitionTerms, readLease, rememberEpoch } from "../fleet/lease.ts";
import type { FleetMember } from "../fleet/member.ts";
import { refusalError } from "../fleet/refusal.ts";
import { REVOKED } from "../fleet/watch.ts";
import type { Renewal } from "../fleet/registry.ts";
import { cancelJob } from "../jobs/cancel.ts";
import { hasOrphans, OrphanFinder } from "../jobs/orphan-finder.ts";
import { probeLock } from "../linux/file-lock.ts";
import { removeFile } from "../linux/file.ts";
import { replacePrivateFile } from "../linux/text-file.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { wakeOwner } from "../state/job-lock.ts";
import { lockFilePath, memberFiles } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";
import type { Publisher } from "./publisher.ts";

export class Orders {
  /** Whether a job of ours held its key at the last renewal. */
  holdsKeys = false;
  /** Whether to ask every few seconds, because the registry cannot notify. */
  asksOften = false;
  readonly #cancelling = new Set<string>();
  /** Jobs that must not outlast the lease, and whose workers are gone. */
  readonly #lost = new Set<string>();
  #revoked = "";

  constructor(
    readonly context: Context,
    readonly member: FleetMember,
    readonly store: JobStore,
    readonly publisher: Publisher,
  ) {}

  /** Throws `locked` if the registry cannot be reached, or grants no session now. */
  async renew(unpublished: number): Promise<void> {
    const publications = await this.store.publications();
    // Somebody may have put a database back from before the join.
    await publications.track();
    await this.publisher.markUnstoppable(await this.store.active());
    const answer = await this.member.registry.renew(unpublished);
    if (answer.refused === "unknown") return this.member.rejoin(await publications.lastToken());
    if (answer.refused === "changed") return;
    if (answer.refused !== undefined) throw refusalError(answer, this.member.membership);
    this.publisher.retry();
    if (rememberEpoch(this.context.home, answer.epoch)) {
      debug?.note(`the registry is in epoch ${answer.epoch}: publishes everything again`);
      await publications.repeatAll();
    }
    await this.#compare(answer);
    await this.#revoke([...answer.revoked, ...this.publisher.revoked]);
    this.holdsKeys = answer.holds.length > 0;
  }

  /** Compares the keys that we hold for the registry with the truth. */
  async #compare({ holds }: Renewal): Promise<void> {
    const publications = await this.store.publications();
    const finder = new OrphanFinder(this.context);
    const held = new Set(holds.map(({ jobId }) => jobId));
    for (const { jobId, change, cancelRequest } of holds) {
      // In this order: whoever claims holds the lock until the job is known here.
      const lock = probeLock(lockFilePath(this.context.home, jobId));
      const job = await this.store.find(jobId);
      if (job === undefined) {
        if (lock === "held") continue;
        debug?.note(`gives back the claim of job ${jobId}, of which nothing became`);
        await this.member.registry.withdraw(jobId);
        continue;
      }
      const isOver = !isActive(job.status) && !hasOrphans(finder.find(job));
      if (isOver) await publications.repeat(jobId, change);
      else if (cancelRequest !== null) this.#cancel(jobId, cancelRequest);
    }
    for (const { jobId } of await this.store.active()) if (!held.has(jobId)) await publications.repeat(jobId);
  }

  noteLost(jobs: readonly Job[]): void {
    for (const { jobId, status, onPartition } of jobs)
      if (!isActive(status) && onPartition === "stop") this.#lost.add(jobId);
  }

  /**
   * When the lease is nearly over: does for jobs whose workers are gone what their workers would do. The registry may not know yet
   * that they are LOST and hold their keys, so it gives these away when the lease is over.
   */
  async endOrphans(): Promise<void> {
    const { leaseMs } = this.member.membership;
    if (!isDue(readLease(this.context.home, this.context.origin.bootId), leaseMs)) return;
    const finder = new OrphanFinder(this.context);
    for (const jobId of this.#lost) {
      const job = await this.store.find(jobId);
      if (job === undefined || !hasOrphans(finder.find(job))) this.#lost.delete(jobId);
      else this.#cancel(jobId, { at: 0, reason: null, graceMs: partitionTerms(leaseMs).graceMs, pid: 0 });
    }
  }

  /** Cancels a job of ours for another member, beside other work: it may take the grace period. */
  #cancel(jobId: string, { reason, graceMs }: CancelRequest): void {
    if (this.#cancelling.has(jobId)) return;
    this.#cancelling.add(jobId);
    debug?.note(`cancels job ${jobId} for another member`);
    cancelJob(this.context, { jobId }, { reason, graceMs })
      .catch((error: unknown) => debug?.note(`cannot cancel job ${jobId}`, error))
      .finally(() => this.#cancelling.delete(jobId));
  }

  /** Has the workers of jobs end them whose keys were given away. */
  async #revoke(jobIds: readonly string[]): Promise<void> {
    const { home } = this.context;
    const list = jobIds.join("\n");
    if (list !== this.#revoked) {
      if (list === "") removeFile(memberFiles(home).revoked);
      else replacePrivateFile(memberFiles(home).revoked, list, false);
      this.#revoked = list;
    }
    const finder = new OrphanFinder(this.context);
    const publications = await this.store.publications();
    for (const jobId of jobIds) {
      const job = await this.store.find(jobId);
      if (job === undefined) await this.member.registry.withdraw(jobId);
      else if (isActive(job.status)) {
        // The worker of a job from before the join does not know of the fleet.
        if (job.onPartition === null) this.#cancel(jobId, { at: 0, reason: REVOKED, graceMs: 5_000, pid: 0 });
        else wakeOwner(lockFilePath(home, jobId));
      } else if (hasOrphans(finder.find(job)))
        this.#cancel(jobId, { at: 0, reason: null, graceMs: 0, pid: 0 });
      else {
        this.publisher.revoked.delete(jobId);
        await publications.repeat(jobId);
      }
    }
  }
}
