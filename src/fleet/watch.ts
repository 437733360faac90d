/** What a worker of a fleet watches beside its command: the agent of its member, and the lease, if its job must not outlast it. */
import type { Job } from "../job/job.ts";
import { openIfAny, isFree } from "../linux/file-lock.ts";
import { closeFile, readTextIfAny } from "../linux/file.ts";
import { Readiness } from "../linux/readiness.ts";
import { DEFAULT_GRACE_MS } from "../processes/terminate.ts";
import { debug } from "../state/debug.ts";
import { type Home, memberFiles } from "../state/paths.ts";
import { isDue, partitionTerms, readLease } from "./lease.ts";
import { ensureAgent } from "./spawn-agent.ts";

/** How long a new agent may take to take its lock, in ms. One that ends at once is started less and less often. */
const AGENT_START_MS = 2_000;
const LONGEST_AGENT_START_MS = 20_000;

export const CUT_OFF = "cut off from the fleet: the lease of this member could not be renewed";
export const REVOKED = "the run key was given to another member of the fleet while this one was cut off";

export class FleetWatch {
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #agent: { readonly fd: number; readonly readiness: Readiness } | undefined;
  #agentStartMs = AGENT_START_MS;
  #isOver = false;

  /** `stop` ends the job: it gets the reason, and the time between TERM and KILL in ms. */
  constructor(
    readonly home: Home,
    readonly job: Job,
    readonly stop: (why: string, graceMs: number) => void,
  ) {
    this.#watchAgent();
    if (job.onPartition === "stop") this.#watchLease();
    this.lookForRevocation();
  }

  /** Ends the watch, when the command has ended. Somebody must still publish that. */
  end(): void {
    ensureAgent(this.home);
    this.#isOver = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#forgetAgent();
  }

  /** The agent lists the jobs whose keys were given away, and wakes their workers. */
  lookForRevocation(): void {
    const { revoked } = memberFiles(this.home);
    if ((readTextIfAny(revoked) ?? "").split("\n").includes(this.job.jobId))
      this.stop(REVOKED, DEFAULT_GRACE_MS);
  }

  /** Looks at once at all that may end the job: timers do not count the time that the machine is suspended. */
  look(): void {
    this.lookForRevocation();
    if (this.job.onPartition === "stop") this.#checkLease();
  }

  /** Sleeps until the agent dies, and starts another one. */
  #watchAgent(): void {
    this.#forgetAgent();
    if (this.#isOver) return;
    const path = memberFiles(this.home).agent;
    const fd = openIfAny(path);
    if (fd === undefined || isFree(fd, path)) {
      if (fd !== undefined) closeFile(fd);
      debug?.note("the agent is gone: starts another one");
      ensureAgent(this.home);
      this.#later(this.#agentStartMs, () => this.#watchAgent());
      this.#agentStartMs = Math.min(this.#agentStartMs * 2, LONGEST_AGENT_START_MS);
      return;
    }
    this.#agentStartMs = AGENT_START_MS;
    const readiness = new Readiness(fd, () => this.#watchAgent());
    this.#agent = { fd, readiness };
    if (readiness.ask()) this.#later(AGENT_START_MS, () => this.#watchAgent());
  }

  #forgetAgent(): void {
    if (this.#agent === undefined) return;
    this.#agent.readiness.close();
    closeFile(this.#agent.fd);
    this.#agent = undefined;
  }

  /** A timer of the runtime does not count the time that the machine is suspended, so it only says when to look at the clock. */
  #watchLease(): void {
    const leaseMs = this.#checkLease();
    if (leaseMs !== undefined) this.#later(partitionTerms(leaseMs).tickMs, () => this.#watchLease());
  }

  /** The length of the lease in ms; undefined: it is nearly over, and the job must end. */
  #checkLease(): number | undefined {
    const lease = readLease(this.home, this.job.origin?.bootId ?? "");
    const leaseMs = lease?.leaseMs ?? 0;
    if (!isDue(lease, leaseMs)) return leaseMs;
    this.stop(CUT_OFF, partitionTerms(leaseMs).graceMs);
    return undefined;
  }

  #later(ms: number, callback: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#isOver) callback();
    }, ms);
    timer.unref();
    this.#timers.add(timer);
  }
}
