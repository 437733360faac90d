/**
 * Waits for the ends of processes: poll(2) on their pidfds. It blocks the process, and lets the event loop run whenever that has
 * something to do; timers of others are late meanwhile, unless `isBusy` says that there are some.
 */
import { turn } from "./clock.ts";
import { pollFor, POLLIN } from "./poll.ts";
import { findEventLoop } from "./signals.ts";

/** Pause between two looks while the process is busy with something else, in ms. */
const BUSY_PAUSE_MS = 16;

interface Waiter {
  readonly handles: readonly number[];
  /** On the clock of performance.now(). */
  readonly until: number;
  readonly resolve: () => void;
}

export class EndWatch {
  readonly #waiters = new Set<Waiter>();
  readonly #eventLoop = findEventLoop();
  #isRunning = false;

  constructor(
    /** Whether a timer of this process is due soon. */
    readonly isBusy: () => boolean = () => false,
    /** Whether a signal has come for which nobody should wait any longer. */
    readonly isInterrupted: () => boolean = () => false,
  ) {}

  /** How many wait. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /** Resolves when one of the processes has ended, the time (ms) is over, or a signal has interrupted us. */
  next(handles: readonly number[], timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.add({ handles, until: performance.now() + timeoutMs, resolve });
    if (!this.#isRunning) void this.#run();
    return promise;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    for (let isBusy = false; this.#waiters.size > 0;) {
      // Signal handlers run, and those go on who waited.
      await (isBusy ? Bun.sleep(BUSY_PAUSE_MS) : turn());
      if (this.isInterrupted()) for (const waiter of this.#waiters) this.#release(waiter);
      isBusy = this.isBusy();
      this.#look(isBusy);
    }
    this.#isRunning = false;
  }

  #look(isBusy: boolean): void {
    const waiters = [...this.#waiters];
    const watched: [number, number][] = [[this.#eventLoop, POLLIN]];
    let first = Number.POSITIVE_INFINITY;
    for (const { handles, until } of waiters) {
      first = Math.min(first, until);
      for (const handle of handles) watched.push([handle, POLLIN]);
    }
    const found = pollFor(watched, isBusy ? 0 : Math.max(0, first - performance.now()));
    let position = 1;
    for (const waiter of waiters) {
      const ends = found.slice(position, position + waiter.handles.length);
      position += waiter.handles.length;
      if (ends.some((events) => events !== 0) || performance.now() >= waiter.until) this.#release(waiter);
    }
  }

  #release(waiter: Waiter): void {
    this.#waiters.delete(waiter);
    waiter.resolve();
  }
}
