/** How others reach a worker. */
import { onWritten } from "../linux/signals.ts";
import { WORKER_LOCK_FD } from "./spawn.ts";

/** Somebody wrote to our lock file: there is a cancel request in the store. A poke before we listen is not lost. */
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
