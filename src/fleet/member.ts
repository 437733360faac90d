/** A state directory as a member of its fleet: its membership, and the registry. Loaded only if there is a `fleet.json`. */
import { OrchesjobError } from "../job/errors.ts";
import type { CancelRequest, Job, Origin } from "../job/job.ts";
import type { Home } from "../state/paths.ts";
import type { Fleet, PublishedOutput } from "../store/fleet.ts";
import type { JobStore, ListFilter } from "../store/store.ts";
import { FleetKeys } from "./fleet-keys.ts";
import { type Membership, readMembership } from "./membership.ts";
import { Connection } from "./postgres/connection.ts";
import { findPassword, parseAddress } from "./postgres/address.ts";
import { PostgresRegistry } from "./postgres/registry.ts";
import type { Refusal, Registry } from "./registry.ts";
import { Session } from "./session.ts";

/** How often to ask a registry that cannot notify, in ms. */
const UNHEARD_MS = 500;

export class FleetMember implements Fleet {
  readonly #heard = new Map<string, { isNew: boolean; wake: () => void; works: boolean }>();
  readonly membership: Membership;
  readonly registry: Registry;

  /** `membership`: that of a directory that is about to join; otherwise it is read. Throws OrchesjobError. */
  constructor(
    readonly home: Home,
    readonly origin: Origin,
    readonly version: string,
    membership = readMembership(home),
  ) {
    this.membership = membership;
    this.registry = new PostgresRegistry(
      connectionOf(membership),
      new Session(home, membership, origin, version),
    );
  }

  /** The verbs that decide who may run a key, for a start. */
  keys(local: JobStore): FleetKeys {
    return new FleetKeys(this, local);
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

  /** Lets the registry know the member again: it was restored from a backup that is older than the join. */
  async rejoin(lastToken: number): Promise<void> {
    const { name, leaseMs, onPartition } = this.membership;
    await this.registry.join({ name, leaseMs, onPartition, lastToken });
  }
}

/** The connection of a membership. Throws OrchesjobError if its URL or password cannot be used. */
export function connectionOf({ url, passwordFile, leaseMs }: Membership): Connection {
  const address = parseAddress(url);
  // Two questions fit into the time between two renewals.
  return new Connection({ address, password: findPassword(address, passwordFile), deadlineMs: leaseMs / 6 });
}

/** The error for a refusal that no command can resolve. */
export function refusalError(
  refusal: Exclude<Refusal, { readonly refused: "changed" }>,
  { name }: Membership,
): OrchesjobError {
  switch (refusal.refused) {
    case "recovery":
      return new OrchesjobError(
        "locked",
        `the registry of the fleet may have lost its last moments (another server or an older copy answers), so it grants no key for ${seconds(refusal.waitMs)} until all members have said what they run`,
        "try again then",
      );
    case "cloned":
      return new OrchesjobError(
        "conflict",
        `this state directory is a copy: its membership ${JSON.stringify(name)} is in use on host ${refusal.host}`,
        "if this is the copy, make it a member of its own: orchesjob fleet leave --copy, then orchesjob fleet join URL --name ANOTHER; if that host was just replaced by this one, try again in a minute",
      );
    case "unknown":
    case "left":
      return new OrchesjobError(
        "conflict",
        `the registry of the fleet does not know the member ${JSON.stringify(name)} (any more)`,
        "join again: orchesjob fleet join URL",
      );
  }
}

function seconds(ms: number): string {
  return `${Math.max(1, Math.ceil(ms / 1000))} s`;
}
