/** A state directory as a member of its fleet: its membership, and the registry. Loaded only if there is a `fleet.json`. */
import type { CancelRequest, Job, Origin } from "../job/job.ts";
import type { Home } from "../state/paths.ts";
import type { Fleet, PublishedOutput } from "../store/fleet.ts";
import type { JobStore, ListFilter } from "../store/store.ts";
import { FleetKeys } from "./fleet-keys.ts";
import { type Membership, readMembership } from "./membership.ts";
import { PostgresRegistry } from "./postgres/registry.ts";
import type { Functions } from "./functions.ts";
import type { OwnMember } from "./own-member.ts";
import { Relay } from "./relay.ts";
import type { Registry } from "./registry.ts";
import { ensureAgent } from "./spawn-agent.ts";
import { Session } from "./session.ts";

/** How often to ask a registry that cannot notify, in ms. */
const UNHEARD_MS = 500;

export class FleetMember implements Fleet, OwnMember {
  readonly #heard = new Map<string, { isNew: boolean; wake: () => void; works: boolean }>();
  readonly membership: Membership;
  readonly registry: Registry;

  /** The way to the registry. */
  readonly functions: Functions;

  /**
   * `membership`: that of a directory that is about to join; otherwise it is read. `isAgent`: does not ask through the agent.
   * Throws OrchesjobError.
   */
  constructor(
    readonly home: Home,
    readonly origin: Origin,
    readonly version: string,
    membership = readMembership(home),
    isAgent = false,
  ) {
    this.membership = membership;
    const connect = async () => (await import("./postgres/connect.ts")).connectionOf(membership);
    this.functions = new Relay(isAgent ? undefined : home, connect);
    const session = new Session(home, membership, origin, version);
    this.registry = new PostgresRegistry(this.functions, session);
  }

  /** The verbs that decide who may run a key, for a start. */
  keys(local: JobStore): FleetKeys {
    return new FleetKeys(this, local);
  }

  async catchUp(local: JobStore): Promise<void> {
    const publications = await local.publications();
    if (!(await publications.isTracking()) || (await publications.count()) > 0) ensureAgent(this.home);
  }

  async find(beginning: string, limit: number): Promise<readonly Job[]> {
    return this.registry.find(beginning, limit);
  }

  async newest(runKey: string): Promise<Job | undefined> {
    return (await this.registry.lookUp(runKey, null)).newest;
  }

  async history(runKey: string): Promise<readonly Job[]> {
    return this.registry.history(runKey);
  }

  async list(filter: ListFilter): Promise<readonly Job[]> {
    return this.registry.list(filter);
  }

  async output(jobId: string): Promise<PublishedOutput | undefined> {
    return this.registry.output(jobId);
  }

  async requestCancel(jobId: string, request: CancelRequest): Promise<Job | undefined> {
    return this.registry.requestCancel(jobId, request);
  }

  async awaitNews(jobId: string, ms: number): Promise<void> {
    let news = this.#heard.get(jobId);
    if (news === undefined) {
      news = { isNew: true, wake: () => undefined, works: false };
      this.#heard.set(jobId, news);
      const heard = news;
      const callback = () => {
        heard.isNew = true;
        heard.wake();
      };
      // What came before we listened is seen by the look that follows.
      heard.works = await this.registry.listen({ jobId }, callback);
      await this.registry.expectNews(jobId);
      return;
    }
    if (!news.isNew) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, news.works ? ms : Math.min(ms, UNHEARD_MS));
      news.wake = resolve;
      await promise;
      clearTimeout(timer);
    }
    news.isNew = false;
  }

  isOwn(job: Job): boolean {
    return job.elsewhere?.memberId === this.membership.memberId;
  }

  async rejoin(lastToken: number): Promise<void> {
    const { name, leaseMs, onPartition } = this.membership;
    await this.registry.join({ name, leaseMs, onPartition, lastToken });
  }
}
