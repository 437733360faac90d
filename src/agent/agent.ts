/**
 * The agent: the one process of a member that talks to the registry while there is something to say. It renews the lease,
 * publishes what changes in the local store, and does what other members ask of its jobs. It needs no message from the others:
 * it watches the database file, and it sleeps on the locks of the workers.
 */
import { OrchesjobError } from "../job/errors.ts";
import { isActive } from "../job/status.ts";
import { nameProcess } from "../linux/caller.ts";
import { isThere } from "../linux/stat.ts";
import { watchDirectory } from "../linux/watch-directory.ts";
import { forgetProgramText } from "../linux/program-text.ts";
import { releaseMemory } from "../linux/self.ts";
import { reconcileAll } from "../jobs/reconcile.ts";
import { restoreUnknownJobs } from "../jobs/restore-unknown-jobs.ts";
import type { FleetMember } from "../fleet/member.ts";
import { countRenewFailure } from "../fleet/renew-failures.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { type Home, memberFiles } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";
import { takeFifoLock } from "../state/job-lock.ts";
import { Orders } from "./orders.ts";
import { serveRelay } from "./relay-server.ts";
import { Publisher } from "./publisher.ts";
import { WorkerWatch } from "./worker-watch.ts";

/** An agent without work stays for this time, in ms. */
const IDLE_MS = 60_000;

/** How often to look whether another agent has ended, in ms. Until then it does all the work. */
const STAND_BY_MS = 2_000;

const FIRST_RETRY_MS = 200;
const LONGEST_RETRY_MS = 10_000;

/** How often to look at jobs that are just starting, and at processes that have survived their jobs, in ms. */
const SOON_MS = 1_000;

/** How often to ask a registry that cannot notify, in ms. */
const UNHEARD_MS = 3_000;

/** Changes that come closely after each other are published together, in ms. */
const QUIET_MS = 2;

/** While changes come without end, the agent rests for this many times what its last look took, and leaves the processor to them. */
const REST_FACTOR = 2;
const LONGEST_REST_MS = 20;

/** After this time without news the agent gives its memory back, in ms. */
const SILENT_MS = 1_000;

/**
 * Runs until there is no work any more; for ever if `stays`. If another agent runs, returns at once; with `stays` waits for its
 * end, because a service manager would start this one again and again.
 */
export async function runAgent(context: Context, member: FleetMember, stays: boolean): Promise<void> {
  nameProcess();
  const lock = stays ? await awaitLock(context.home) : takeFifoLock(memberFiles(context.home).agent);
  if (lock === undefined) {
    debug?.note("another agent runs");
    return;
  }
  const store = context.openStore();
  if (store !== undefined) await new Agent(context, member, store, stays).run();
  debug?.note("has no work any more");
}

/** Undefined if somebody has left the fleet meanwhile. */
async function awaitLock(home: Home): Promise<number | undefined> {
  while (isThere(home.fleet)) {
    const lock = takeFifoLock(memberFiles(home).agent);
    if (lock !== undefined) return lock;
    await Bun.sleep(STAND_BY_MS);
  }
  return undefined;
}

class Agent {
  readonly #publisher: Publisher;
  readonly #orders: Orders;
  readonly #workers: WorkerWatch;
  #wake: () => void = () => undefined;
  #isAwake = true;
  #nextRenewal = 0;
  #retryMs = 0;
  #busyAt = performance.now();
  #isPending = false;
  #isListening = false;
  /** How long the last look took, in ms. */
  #lookMs = 0;

  constructor(
    readonly context: Context,
    readonly member: FleetMember,
    readonly store: JobStore,
    readonly stays: boolean,
  ) {
    this.#publisher = new Publisher(context, member, store);
    this.#orders = new Orders(context, member, store, this.#publisher);
    this.#workers = new WorkerWatch(context.home, () => this.#stir());
  }

  #stir(): void {
    this.#isAwake = true;
    this.#wake();
  }

  async run(): Promise<void> {
    await restoreUnknownJobs(this.context, this.store);
    const { database } = this.context.home;
    const names = ["", "-wal"].map((suffix) => database.slice(database.lastIndexOf("/") + 1) + suffix);
    const relay = serveRelay(this.context.home, this.member.functions);
    const watch = watchDirectory(this.context.home.path, (name) => names.includes(name) && this.#stir());
    try {
      for (;;) {
        this.#isAwake = false;
        // Somebody has left the fleet.
        if (!isThere(this.context.home.fleet)) return;
        const begunAt = performance.now();
        const hasWork = await this.#look();
        this.#lookMs = performance.now() - begunAt;
        if (hasWork) this.#busyAt = performance.now();
        else if (!this.stays && performance.now() - this.#busyAt >= IDLE_MS) return;
        await this.#sleep();
      }
    } finally {
      watch.close();
      relay.stop();
      await this.member.registry.disconnect();
    }
  }

  /** Does what is due; returns whether the member needs an agent. */
  async #look(): Promise<boolean> {
    try {
      // A job whose worker is gone is LOST for the whole fleet at once.
      const seen = await reconcileAll(this.context, this.store, await this.store.active());
      const active = seen.filter((job) => isActive(job.status));
      this.#orders.noteLost(seen);
      // Before a question that may take seconds.
      await this.#orders.endOrphans();
      this.#workers.watch(active);
      const isTime = performance.now() >= this.#nextRenewal;
      if (isTime) await this.#renewOrCount();
      if (this.#publisher.hasSurvivors) await this.#publisher.lookForSurvivors();
      const pending = await this.#publisher.publish();
      this.#retryMs = 0;
      this.#isPending = pending > 0;
      return active.length > 0 || pending > 0 || this.#orders.holdsKeys;
    } catch (error) {
      if (!(error instanceof OrchesjobError)) throw error;
      debug?.note("cannot reach the registry", error);
      await this.#orders.endOrphans();
      this.#retryMs = Math.min(
        this.#retryMs === 0 ? FIRST_RETRY_MS : this.#retryMs * 2,
        this.#longestRetryMs,
      );
      this.#nextRenewal = 0;
      return (await this.store.active()).length > 0 || (await (await this.store.publications()).count()) > 0;
    }
  }

  get #longestRetryMs(): number {
    return Math.min(LONGEST_RETRY_MS, this.member.membership.leaseMs / 12);
  }

  async #renewOrCount(): Promise<void> {
    try {
      await this.#renew();
    } catch (error) {
      if (error instanceof OrchesjobError) countRenewFailure(this.context.home);
      throw error;
    }
  }

  async #renew(): Promise<void> {
    const { leaseMs } = this.member.membership;
    // Before the question: whatever is heard from here on asks for another renewal, which must not be forgotten.
    this.#nextRenewal =
      performance.now() + (this.#orders.asksOften ? Math.min(leaseMs / 3, UNHEARD_MS) : leaseMs / 3);
    await this.#orders.renew(await (await this.store.publications()).count());
    if (this.#isListening) return;
    // After the first renewal the registry is there: then it can notify us.
    this.#isListening = true;
    const works = await this.member.registry.listen({ member: true }, () => this.#hear());
    debug?.note(works ? "listens to the registry" : "the registry cannot notify: asks every few seconds");
    this.#orders.asksOften = !works;
    // What was said between the renewal and the listening was not heard.
    this.#nextRenewal = 0;
  }

  /** Another member wants something of a job of ours, or the connection is new. */
  #hear(): void {
    this.#nextRenewal = 0;
    this.#stir();
  }

  async #sleep(): Promise<void> {
    // While the registry is away, no change is more urgent than any other.
    if (this.#retryMs > 0) return Bun.sleep(this.#retryMs);
    if (this.#isAwake)
      return Bun.sleep(Math.max(QUIET_MS, Math.min(LONGEST_REST_MS, REST_FACTOR * this.#lookMs)));
    const looksSoon = this.#publisher.hasSurvivors || this.#isPending;
    const longest = looksSoon ? SOON_MS : Number.POSITIVE_INFINITY;
    const ms = Math.max(0, Math.min(longest, this.#nextRenewal - performance.now()));
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(resolve, ms);
    // Not at once: whoever is woken again pays for it, about as much as a look costs.
    const quiet = setTimeout(giveBackMemory, SILENT_MS);
    await promise;
    clearTimeout(timer);
    clearTimeout(quiet);
    this.#wake = () => undefined;
  }
}

function giveBackMemory(): void {
  releaseMemory();
  forgetProgramText();
}
