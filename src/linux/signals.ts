/** Signals: their names, sending them to a group (to one process: see pidfd.ts), and being told of a poke. */
import { ERRNO, lastErrno } from "./ffi/call.ts";
import { libc } from "./ffi/libc.ts";
import { readLink, readTextIfAny } from "./file.ts";
import { pollFor, POLLIN } from "./poll.ts";

export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGKILL = 9;
export const SIGPIPE = 13;
export const SIGTERM = 15;
export const SIGCONT = 18;
export const SIGSTOP = 19;

/** `SIGTERM` for 15, as signal(7) has them. */
export function signalName(number: number): string {
  const { signals } = process.getBuiltinModule("node:os").constants;
  const found = Object.entries(signals).find(
    ([name, value]) => value === number && name !== "SIGIOT" && name !== "SIGPOLL",
  );
  return found?.[0] ?? `SIG${number}`;
}

/** Signals a whole process group. False where there is none, or none that we may signal. */
export function signalGroup(processGroup: number, signal: number): boolean {
  return libc.kill(-processGroup, signal) === 0;
}

const F_SETOWN = 8;
const F_SETFL = 4;
const O_RDWR = 0o2;
const O_ASYNC = 0o20000;

/** Who is in a process group: `foreign` where none of them may be signalled by us. Zombies count. */
export function probeGroup(processGroup: number): "ours" | "foreign" | "empty" {
  if (libc.kill(-processGroup, 0) === 0) return "ours";
  return lastErrno() === ERRNO.EPERM ? "foreign" : "empty";
}

/** Calls back whenever somebody writes to a FIFO that we have open. The kernel signals us (SIGIO): nothing is polled. */
export function onWritten(fifo: number, callback: () => void): void {
  process.on("SIGIO", callback);
  libc.fcntl(fifo, F_SETOWN, process.pid);
  libc.fcntl(fifo, F_SETFL, O_RDWR | O_ASYNC);
}

const F_SETSIG = 10;
const O_NONBLOCK = 0o4000;
/** Without a handler it does nothing, and nobody else sends it. */
const SIGURG = 23;

const readers = new Set<() => void>();

function tellReaders(): void {
  for (const tell of readers) tell();
}

/** Being told that a FIFO, opened for reading without blocking, can be read: by a signal of its own, when that is asked for. */
export class Readiness {
  #isAsking = false;

  constructor(
    readonly fifo: number,
    readonly callback: () => void,
  ) {
    if (readers.size === 0) process.on("SIGURG", tellReaders);
    readers.add(callback);
    libc.fcntl(fifo, F_SETOWN, process.pid);
    libc.fcntl(fifo, F_SETSIG, SIGURG);
  }

  /** Asks to be told. True where it can be read, or is at its end, already. */
  ask(): boolean {
    if (!this.#isAsking) libc.fcntl(this.fifo, F_SETFL, O_NONBLOCK | O_ASYNC);
    this.#isAsking = true;
    return pollFor([[this.fifo, POLLIN]], 0)[0] !== 0;
  }

  /** The kernel need not signal for a while. */
  rest(): void {
    if (this.#isAsking) libc.fcntl(this.fifo, F_SETFL, O_NONBLOCK);
    this.#isAsking = false;
  }

  close(): void {
    readers.delete(this.callback);
    if (readers.size === 0) process.off("SIGURG", tellReaders);
  }
}

/** Signals that ask a process to end. A worker's are meant for its command, whose own end is then recorded. */
export const FORWARDED_SIGNALS = { SIGTERM, SIGINT, SIGHUP } as const;

/**
 * The descriptor on which the runtime sleeps; -1 where it is not found. It becomes readable when a signal has come to another
 * thread of ours, which happens to a stopped process that is let go on (Ctrl-Z, `kill %1`): poll(2) is not interrupted then.
 */
export function findEventLoop(): number {
  const { readdirSync } = process.getBuiltinModule("node:fs");
  const found = readdirSync("/proc/self/fd").find(
    (name) => readLink(`/proc/self/fd/${name}`) === "anon_inode:[eventpoll]",
  );
  return Number(found ?? -1);
}

/** The first signal that asks us to end, for who waits for something and may leave before it. */
export class Interruption {
  #signal: number | undefined;
  #isListening = false;

  /** Before that a signal ends us, as it does everybody. */
  listen(): void {
    if (!this.#isListening) onInterruption((signal) => (this.#signal ??= signal));
    this.#isListening = true;
  }

  get signal(): number | undefined {
    return this.#signal;
  }

  /** It was meant for somebody else: waits for the next. */
  forget(): void {
    this.#signal = undefined;
  }
}

/**
 * Calls back with the number of a signal that asks us to end, also while we wait in a system call, which returns then.
 * What our caller has us ignore (nohup) stays ignored.
 */
export function onInterruption(callback: (signal: number) => void): void {
  const ignored = BigInt(
    `0x${/^SigIgn:\s*([0-9a-f]+)$/m.exec(readTextIfAny("/proc/self/status") ?? "")?.[1] ?? "0"}`,
  );
  for (const [name, number] of Object.entries(FORWARDED_SIGNALS)) {
    if (((ignored >> BigInt(number - 1)) & 1n) === 1n) continue;
    process.on(name, () => callback(number));
    libc.siginterrupt(number, 1);
  }
}
