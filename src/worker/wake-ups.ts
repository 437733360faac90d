/** Wakes the worker when another process writes to its lock file. */
import { onWritten } from "../linux/signals.ts";
import { WORKER_LOCK_FD } from "./spawn.ts";

/**
 * Calls back when another process writes to our lock file: the store has news for us, such as a cancel request. A wake-up
 * before `hear` is not lost.
 */
export class WakeUps {
  #listener: (() => void) | undefined;
  #missed = false;

  constructor() {
    onWritten(WORKER_LOCK_FD, () => {
      if (this.#listener === undefined) this.#missed = true;
      else this.#listener();
    });
  }

  hear(listener: () => void): void {
    this.#listener = listener;
    if (this.#missed) listener();
  }
}
