/**
 * Two members on which faults are injected, point after point, each on a run key of its own; and the checks of what is found
 * after a point.
 */
import { expect } from "bun:test";
import { checkManners } from "../crash/scene.ts";
import { openDatabase } from "../support/database.ts";
import { Fleet, type FleetAnswer, type Member } from "../support/fleet.ts";
import { Gate } from "../support/gate.ts";
import type { Server } from "../support/postgres.ts";
import { killAndWait } from "../support/processes.ts";
import { Proxy } from "../support/proxy.ts";
import { type Finished, until } from "../support/sandbox.ts";
import type { Hit } from "../support/strace.ts";
import { readExecutions, witness } from "../support/witness.ts";

/** In seconds: claims of which nothing became are given back with the next renewal, after a third of it. */
const LEASE = "3";

export class FleetScene implements AsyncDisposable {
  #points = 0;
  key = "k0";
  gate: Gate;
  /** What was hit at this point; undefined: the command did less. */
  hit: Hit;

  private constructor(
    readonly fleet: Fleet,
    readonly proxy: Proxy,
    /** The member that the faults hit. It reaches the registry through the proxy. */
    readonly struck: Member,
    readonly other: Member,
  ) {
    this.gate = new Gate(fleet, "gate0");
  }

  static async create(server: Server, lease = LEASE): Promise<FleetScene> {
    const fleet = await Fleet.create(server);
    const proxy = new Proxy(fleet);
    const struck = fleet.candidate("struck");
    await struck.join(["--lease", lease], proxy.url);
    return new FleetScene(fleet, proxy, struck, await fleet.member("other", ["--lease", lease]));
  }

  /** Goes on with another run key. `isCold`: the struck member has no agent, and whoever needs one has to start it. */
  async next(isCold: boolean): Promise<void> {
    this.gate.open();
    this.#points += 1;
    this.key = `k${this.#points}`;
    this.gate = new Gate(this.fleet, `gate${this.#points}`);
    this.hit = undefined;
    if (isCold) for (const agent of this.struck.agents()) await killAndWait(agent);
  }

  /** Words that start the recording command, which waits at the gate. */
  start(...options: readonly string[]): string[] {
    return ["start", "--run-key", this.key, ...options, "--", ...witness(this.gate.wait)];
  }

  /** The same with two attempts: the first one fails at the gate. */
  startTwice(...options: readonly string[]): string[] {
    const script = `${this.gate.wait}; test $ORCHESJOB_ATTEMPT -gt 1 || exit 7`;
    const retries = ["--retries", "1", "--retry-delay", "0", ...options];
    return ["start", "--run-key", this.key, ...retries, "--", ...witness(script)];
  }

  /** Whether registry and members say the same, and no key is held. */
  async agrees(): Promise<boolean> {
    const registered = await this.fleet.registered(this.key);
    const known = [this.struck, this.other].flatMap((member) => this.#local(member));
    return (
      known.every((job) => registered.find(({ job_id }) => job_id === job.job_id)?.status === job.status) &&
      registered.every(
        ({ holds_key, status, job_id }) =>
          holds_key === ["STARTING", "RUNNING"].includes(status) &&
          // A claim of which nothing became is the registry's alone.
          (status === "LOST" || known.some((job) => job.job_id === job_id)),
      )
    );
  }

  #local(member: Member): { job_id: string; status: string }[] {
    using database = openDatabase(member);
    return database.query("select job_id, status from jobs where run_key = ?").all(this.key) as {
      job_id: string;
      status: string;
    }[];
  }

  /** Checks what must hold after any point, with commands as a user types them. */
  async judge(): Promise<void> {
    const { struck, other, gate, proxy, key } = this;
    proxy.heal();
    // Never twice: while a command waits at the gate, no start runs another one.
    const again = await Promise.all([struck.run(this.start()), other.run(this.start())]);
    for (const each of again) checkManners(each, [0, 4, 5]);
    gate.open();

    // Never stuck: the key runs again on both. If the agent was killed after its last worker had ended, the next start of its
    // member brings another one; so that member is the first.
    const words = this.start("--sync");
    for (const member of [struck, other]) {
      const retry = await until(`${key} runs again on ${member.name}`, async () => {
        const result = await member.run(words);
        checkManners(result, [0, 4, 5]);
        const answer = result.code === 0 && (JSON.parse(result.stdout) as FleetAnswer);
        return answer && !answer.existing && answer;
      });
      expect(retry.status).toBe("SUCCEEDED");
    }

    // Never false: registry and members agree, and what ran is known.
    await until("registry and members agree", () => this.agrees());
    const { started, overlapping } = readExecutions(this.fleet, key);
    expect(overlapping).toEqual([]);
    expect(new Set(started).size).toBe(started.length);
    const tokens = (await this.fleet.registered(key)).map(({ job_id }) => job_id).reverse();
    expect(started).toEqual(tokens.filter((jobId) => started.includes(jobId)));
  }

  /** The contract's exit codes for a command that was hit. */
  survived(result: Finished): void {
    checkManners(result, [0, 1, 4, 5]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.gate.open();
    this.proxy.heal();
    await this.fleet[Symbol.asyncDispose]();
    this.proxy[Symbol.dispose]();
  }
}
