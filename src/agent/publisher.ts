/** Publishes what changed in the local store, until the registry has it. */
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { announce } from "../fleet/announce.ts";
import type { FleetMember } from "../fleet/member.ts";
import { refusalError } from "../fleet/refusal.ts";
import type { Announcement, PublishResult } from "../fleet/registry.ts";
import { hasOrphans, OrphanFinder } from "../jobs/reconcile.ts";
import { maySignal } from "../linux/pidfd.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import type { Publication } from "../store/publications.ts";
import type { JobStore } from "../store/store.ts";

/** The most jobs in one question. Each may bring 128 KiB of output. */
const BATCH = 50;

export class Publisher {
  /** Jobs of another session of ours, which may not be spoken for yet. */
  readonly #later = new Set<string>();
  /** Jobs whose keys were given away. */
  readonly revoked = new Set<string>();
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
      const pending = await publications.next(BATCH + this.#later.size);
      const batch = pending.filter(({ job }) => !this.#later.has(job.jobId)).slice(0, BATCH);
      if (batch.length === 0) return pending.length;
      const finder = new OrphanFinder(this.context);
      const results = await this.#send(batch.map((each) => this.#announce(each, finder)));
      const done = batch.filter(({ job }, index) => {
        if (results[index] === "later") this.#later.add(job.jobId);
        if (results[index] === "revoked") this.revoked.add(job.jobId);
        return results[index] !== "later";
      });
      await publications.markPublished(done);
      debug?.note(`published ${done.length} jobs`);
    }
  }

  /** Tries again what could not be published, at the next opportunity. */
  retry(): void {
    this.#later.clear();
  }

  async #send(announcements: readonly Announcement[]): Promise<readonly PublishResult[]> {
    const answer = await this.member.registry.publish(announcements);
    if (Array.isArray(answer)) return answer;
    const refusal = answer as Exclude<typeof answer, readonly PublishResult[]>;
    if (refusal.refused === "unknown") {
      await this.member.rejoin(await (await this.store.publications()).lastToken());
      return this.#send(announcements);
    }
    if (refusal.refused === "changed") return announcements.map(() => "later");
    throw refusalError(refusal, this.member.membership);
  }

  #announce(publication: Publication, finder: OrphanFinder): Announcement {
    const { job } = publication;
    const holdsKey = isActive(job.status) || hasOrphans(finder.find(job));
    return announce(this.member, publication, { holdsKey, isUnstoppable: this.#unstoppable.has(job.jobId) });
  }

  /** Finds out of which jobs we may not end a process: then their keys wait for their host, as no lease can end them. */
  async markUnstoppable(active: readonly Job[]): Promise<void> {
    const finder = new OrphanFinder(this.context);
    const found = new Set<string>();
    for (const job of active) {
      if (job.onPartition !== "stop") continue;
      const { seen, unseen } = finder.ofActive(job);
      if (unseen || seen.some(({ pid }) => !maySignal(pid))) found.add(job.jobId);
    }
    const changed = [...found.symmetricDifference(this.#unstoppable)];
    this.#unstoppable = found;
    const publications = await this.store.publications();
    for (const jobId of changed) await publications.repeat(jobId);
  }
}
