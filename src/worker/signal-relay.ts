/** Passes the signals that the worker receives on to the command. */
import { readProcess } from "../linux/self.ts";
import { FORWARDED_SIGNALS, signalGroup, signalName } from "../linux/signals.ts";
import { unblock } from "../linux/spawn.ts";
import { debug } from "../state/debug.ts";

/** systemd signals every thread of the worker: signals within this time count as one, in ms. */
const ONE_SIGNAL_MS = 5;

/** Passes signals on to the target's process group. Those that come before there is a target are delivered then. */
export class SignalRelay {
  #group: number | undefined;
  #early: number[] = [];
  readonly #asking = new Set<number>();
  #ignored: readonly number[];
  readonly #heard = new Set<number>();
  /** Called with each signal. */
  onHeard: (() => void) | undefined;

  /** `ignored`: one signal of each of these numbers is pending, and was not meant for the worker. */
  constructor(ignored: readonly number[]) {
    this.#ignored = ignored;
    for (const [name, number] of Object.entries(FORWARDED_SIGNALS)) {
      process.on(name, () => {
        debug?.note(`signal ${name} came`);
        if (this.#ignored.includes(number)) {
          this.#ignored = this.#ignored.filter((each) => each !== number);
          return;
        }
        this.#heard.add(number);
        this.onHeard?.();
        if (this.#group === undefined) this.#early.push(number);
        else void this.#passOn(number);
      });
    }
    unblock(Object.values(FORWARDED_SIGNALS));
  }

  /**
   * Passes a signal on, unless systemd has sent it to the target as well: some programs take a second TERM as a request to end
   * at once.
   */
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

  /** The signals that asked this worker and its command to end. */
  get heard(): ReadonlySet<number> {
    return this.#heard;
  }

  relayTo(group: number): void {
    this.#group = group;
    for (const number of this.#early) {
      signalGroup(group, number);
      debug?.note(`signal ${signalName(number)} passed on`);
    }
    this.#early = [];
  }

  /** Stops passing signals on: the command has ended, and the number of its group may be reused soon. */
  end(): void {
    this.#group = undefined;
  }
}
