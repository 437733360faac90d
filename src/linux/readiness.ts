/** Learns when a FIFO can be read, by a signal: nothing is polled. */
import { libc } from "./ffi/libc.ts";
import { pollFor, POLLIN } from "./poll.ts";

const F_SETOWN = 8;
const F_SETFL = 4;
const O_RDWR = 0o2;
const O_ASYNC = 0o20000;

/** Calls back whenever a process writes to a FIFO that we have open. The kernel signals us (SIGIO), so nothing is polled. */
export function onWritten(fifo: number, callback: () => void): void {
  process.on("SIGIO", callback);
  libc.fcntl(fifo, F_SETOWN, process.pid);
  libc.fcntl(fifo, F_SETFL, O_RDWR | O_ASYNC);
}

const F_SETSIG = 10;
const O_NONBLOCK = 0o4000;
/** Ignored without a handler, and nobody else sends it. */
const SIGURG = 23;

const readers = new Set<() => void>();

function notifyReaders(): void {
  // A reader may be replaced by its own callback. The loop must not reach the new one: it would never end.
  for (const notify of [...readers]) if (readers.has(notify)) notify();
}

/** Calls back when a FIFO, opened for reading without blocking, can be read: by a signal of its own, while it is asked for. */
export class Readiness {
  #isAsking = false;

  constructor(
    readonly fifo: number,
    readonly callback: () => void,
  ) {
    if (readers.size === 0) process.on("SIGURG", notifyReaders);
    readers.add(callback);
    libc.fcntl(fifo, F_SETOWN, process.pid);
    libc.fcntl(fifo, F_SETSIG, SIGURG);
  }

  /** Asks for the signal. True if the FIFO can be read, or is at its end, already. */
  ask(): boolean {
    if (!this.#isAsking) libc.fcntl(this.fifo, F_SETFL, O_NONBLOCK | O_ASYNC);
    this.#isAsking = true;
    return pollFor([[this.fifo, POLLIN]], 0)[0] !== 0;
  }

  /** Stops asking for the signal. */
  rest(): void {
    if (this.#isAsking) libc.fcntl(this.fifo, F_SETFL, O_NONBLOCK);
    this.#isAsking = false;
  }

  close(): void {
    readers.delete(this.callback);
    if (readers.size === 0) process.off("SIGURG", notifyReaders);
  }
}
