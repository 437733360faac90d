/** Writes to the store until it succeeds (law 4): the disk may be full, the database locked, for as long as they like. */
import { OrchesjobError } from "../job/errors.ts";
import { SystemError } from "../os/libc.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "./context.ts";

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1_000;

export class Ledger {
  #store: JobStore | undefined;

  constructor(readonly context: Context) {}

  /** Throws only when `patienceMs` is over. Undefined also where the state directory itself is gone: then nobody asks. */
  async write<T>(
    verb: (store: JobStore) => Promise<T>,
    patienceMs = Number.POSITIVE_INFINITY,
  ): Promise<T | undefined> {
    const deadline = performance.now() + patienceMs;
    let pause = FIRST_PAUSE_MS;
    for (;;) {
      try {
        this.#store ??= this.context.openStore();
        return this.#store === undefined ? undefined : await verb(this.#store);
      } catch (error) {
        const known = error instanceof OrchesjobError || error instanceof SystemError;
        if (!known || performance.now() > deadline) throw error;
        if (error instanceof OrchesjobError && error.code === "locked") {
          // It has waited in line already, and goes to the end of it at once.
          pause = FIRST_PAUSE_MS;
        } else {
          // A connection that failed is not trusted again.
          this.#reset();
        }
        await Bun.sleep(pause);
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      }
    }
  }

  async tidy(): Promise<void> {
    await this.#store?.tidy();
  }

  /** Nothing will be written for a while. */
  rest(): void {
    try {
      this.#store?.rest();
    } catch (error) {
      if (!(error instanceof OrchesjobError)) throw error;
      // It was only about memory.
    }
  }

  #reset(): void {
    try {
      this.#store?.close();
    } catch {
      // It is given up anyway.
    }
    this.#store = undefined;
  }
}
