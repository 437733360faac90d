/** Signals that come to the worker are the command's. */
import { readProcess } from "../linux/self.ts";
import { FORWARDED_SIGNALS, signalGroup } from "../linux/signals.ts";
import { unblock } from "../linux/spawn.ts";

/** systemd signals every thread of ours: what comes in so many ms is one. */
const ONE_SIGNAL_MS = 5;

/** Passes signals on to the target's group; one that came before there was a target is delivered then. */
export class SignalRelay {
  #group: number | undefined;
  #early: number[] = [];
  readonly #asking = new Set<number>();

  constructor() {
    for (const [name, number] of Object.entries(FORWARDED_SIGNALS)) {
      process.on(name, () => {
        if (this.#group === undefined) this.#early.push(number);
        else void this.#passOn(number);
      });
    }
    unblock(Object.values(FORWARDED_SIGNALS));
  }

  /** But for what systemd has sent to the target itself: some programs take a second TERM for a wish to end at once. */
  async #passOn(signal: number): Promise<void> {
    if (this.#asking.has(signal)) return;
    this.#asking.add(signal);
    const { isHeardBy } = await import("../systemd/unit.ts");
    await Bun.sleep(ONE_SIGNAL_MS);
    const target = this.#group === undefined ? undefined : readProcess(this.#group);
    const isHeard = target !== undefined && isHeardBy(target);
    this.#asking.delete(signal);
    if (this.#group !== undefined && !isHeard) signalGroup(this.#group, signal);
  }

  relayTo(group: number): void {
    this.#group = group;
    for (const number of this.#early) signalGroup(group, number);
    this.#early = [];
  }

  /** The command has ended: its group's number may soon be another's. */
  end(): void {
    this.#group = undefined;
  }
}
