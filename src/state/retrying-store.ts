/**
 * Writes to the store until it succeeds, so that a known result is never lost: the disk may be full, or the database locked,
 * for any time.
 */
import { OrchesjobError } from "../job/errors.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { statPath } from "../linux/stat.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "./context.ts";
import { debug } from "./debug.ts";

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1_000;

/** How long to wait for a database that is gone, in ms. Its jobs keep their keys meanwhile. */
const MISSING_TIMEOUT_MS = 60_000;

export class RetryingStore {
  #store: JobStore | undefined;
  #missingSince: number | undefined;

  constructor(readonly context: Context) {}

  /**
   * Repeats a verb of the store until it succeeds. Throws when `timeoutMs` is over, or the error is none of ours. Undefined if
   * the state directory is gone, so that nobody asks any more, or the database is gone and does not come back.
   */
  async write<T>(
    verb: (store: JobStore) => Promise<T>,
    timeoutMs = Number.POSITIVE_INFINITY,
  ): Promise<T | undefined> {
    const deadline = performance.now() + timeoutMs;
    let pause = FIRST_PAUSE_MS;
    for (;;) {
      try {
        this.#store ??= this.context.openStore();
        if (this.#store !== undefined) {
          this.#missingSince = undefined;
          return await verb(this.#store);
        }
        debug?.note("the database is not there");
        if (timeoutMs < Number.POSITIVE_INFINITY || !this.#mayComeBack()) return undefined;
      } catch (error) {
        const known = error instanceof OrchesjobError || error instanceof SystemError;
        if (!known || performance.now() > deadline) throw error;
        debug?.note(`cannot record: ${error.message}; trying again`);
        if (error instanceof OrchesjobError && error.code === "locked") {
          // SQLite has waited already: try again soon.
          pause = FIRST_PAUSE_MS;
        } else {
          // Do not trust a connection that failed.
          this.#reset();
        }
      }
      await Bun.sleep(pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }

  /** Whether the database has not been missing for long: somebody may be about to put another one there. */
  #mayComeBack(): boolean {
    if (statPath(this.context.home.locks) === undefined) return false;
    this.#missingSince ??= performance.now();
    return performance.now() - this.#missingSince < MISSING_TIMEOUT_MS;
  }

  async checkpoint(): Promise<void> {
    await this.#store?.checkpoint();
  }

  /** Closes the files of the store until the next write, so that somebody may put another database in their place. */
  disconnect(): void {
    this.#store?.disconnect();
  }

  #reset(): void {
    try {
      this.#store?.close();
    } catch (error) {
      // We give it up anyway.
      debug?.note("cannot close the database", error);
    }
    this.#store = undefined;
  }
}
