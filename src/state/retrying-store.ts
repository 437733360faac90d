/** Writes to the store until it succeeds (law 4): the disk may be full, the database locked, for as long as they like. */
import { OrchesjobError } from "../job/errors.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { statPath } from "../linux/stat.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "./context.ts";
import { debug } from "./debug.ts";

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1_000;

/** How long a database that is gone is waited for. Its jobs keep their keys meanwhile. */
const MISSING_PATIENCE_MS = 60_000;

export class RetryingStore {
  #store: JobStore | undefined;
  #missingSince: number | undefined;

  constructor(readonly context: Context) {}

  /** Throws only when `patienceMs` is over. Undefined also where the state directory itself is gone: then nobody asks; and
   *  where the database is, and does not come back. */
  async write<T>(
    verb: (store: JobStore) => Promise<T>,
    patienceMs = Number.POSITIVE_INFINITY,
  ): Promise<T | undefined> {
    const deadline = performance.now() + patienceMs;
    let pause = FIRST_PAUSE_MS;
    for (;;) {
      try {
        this.#store ??= this.context.openStore();
        if (this.#store !== undefined) {
          this.#missingSince = undefined;
          return await verb(this.#store);
        }
        debug?.note("the database is not there");
        if (patienceMs < Number.POSITIVE_INFINITY || !this.#mayComeBack()) return undefined;
      } catch (error) {
        const known = error instanceof OrchesjobError || error instanceof SystemError;
        if (!known || performance.now() > deadline) throw error;
        debug?.note(`cannot record: ${error.message}; trying again`);
        if (error instanceof OrchesjobError && error.code === "locked") {
          // It has waited in line already, and goes to the end of it at once.
          pause = FIRST_PAUSE_MS;
        } else {
          // A connection that failed is not trusted again.
          this.#reset();
        }
      }
      await Bun.sleep(pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }

  /** The directory is there, and the database is not: somebody may be about to put another one there. */
  #mayComeBack(): boolean {
    if (statPath(this.context.home.locks) === undefined) return false;
    this.#missingSince ??= performance.now();
    return performance.now() - this.#missingSince < MISSING_PATIENCE_MS;
  }

  async checkpoint(): Promise<void> {
    await this.#store?.checkpoint();
  }

  /** Nothing will be written for a while: no file of the store stays open, so that another may be put in its place. */
  disconnect(): void {
    this.#store?.disconnect();
  }

  #reset(): void {
    try {
      this.#store?.close();
    } catch (error) {
      // It is given up anyway.
      debug?.note("cannot close the database", error);
    }
    this.#store = undefined;
  }
}
