/** Wakes the worker when another process writes to its lock file. */
import { onWritten } from "../linux/readiness.ts";
import { WORKER_LOCK_FD } from "./spawn.ts";

/**
 * Calls back when another process writes to our lock file: the store has news for us, such as a cancel request. A wake-up
 * before the first `hear` is not lost.
 */
export class WakeUps {
  readonly #listeners = new Set<() => void>();
  #missed = false;

  constructor() {
    onWritten(WORKER_LOCK_FD, () => {
      if (this.#listeners.size === 0) this.#missed = true;
      // A listener may put another one in its place, which this call is not for.
      for (const listener of [...this.#listeners]) listener();
    });
  }

  /** Returns a function that ends it. */
  hear(listener: () => void): () => void {
    this.#listeners.add(listener);
    if (this.#missed) listener();
    this.#missed = false;
    return () => this.#listeners.delete(listener);
  }
}
