/** Signals that come to the worker are the command's. */
import { readProcess } from "../linux/self.ts";
import { FORWARDED_SIGNALS, signalGroup, signalName } from "../linux/signals.ts";
import { unblock } from "../linux/spawn.ts";
import { debug } from "../state/debug.ts";

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
        debug?.note(`signal ${name} came`);
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
    if (this.#group === undefined) return;
    if (!isHeard) signalGroup(this.#group, signal);
    debug?.note(
      `signal ${signalName(signal)} ${isHeard ? "not passed on: systemd has sent it to the target, too" : "passed on"}`,
    );
  }

  relayTo(group: number): void {
    this.#group = group;
    for (const number of this.#early) {
      signalGroup(group, number);
      debug?.note(`signal ${signalName(number)} passed on`);
    }
    this.#early = [];
  }

  /** The command has ended: its group's number may soon be another's. */
  end(): void {
    this.#group = undefined;
  }
}
