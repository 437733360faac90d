/** Signals: their names, sending them to a group (to one process: see pidfd.ts), and receiving them. */
import { ERRNO, lastErrno } from "./ffi/call.ts";
import { libc } from "./ffi/libc.ts";
import { readLink, readTextIfAny } from "./file.ts";

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

/** Signals a whole process group. False if it has no process that we may signal. */
export function signalGroup(processGroup: number, signal: number): boolean {
  return libc.kill(-processGroup, signal) === 0;
}

/** Who is in a process group: `foreign` if we may signal none of them. Zombies count. */
export function probeGroup(processGroup: number): "ours" | "foreign" | "empty" {
  if (libc.kill(-processGroup, 0) === 0) return "ours";
  return lastErrno() === ERRNO.EPERM ? "foreign" : "empty";
}

/** Signals that ask a process to end. A worker passes them on to its command, and records how that ends. */
export const FORWARDED_SIGNALS = { SIGTERM, SIGINT, SIGHUP } as const;

/**
 * The descriptor on which the runtime sleeps; -1 if it is not found. It becomes readable when a signal has come to another
 * thread of ours: poll(2) is not interrupted then. That happens to a stopped process that continues (Ctrl-Z, `kill %1`).
 */
export function findEventLoop(): number {
  const { readdirSync } = process.getBuiltinModule("node:fs");
  const found = readdirSync("/proc/self/fd").find(
    (name) => readLink(`/proc/self/fd/${name}`) === "anon_inode:[eventpoll]",
  );
  return Number(found ?? -1);
}

/** Notes the first signal that asks us to end, for a command that waits and may leave early. */
export class Interruption {
  #signal: number | undefined;
  #isListening = false;

  /** Starts to listen. Before that, a signal ends us by its default action. */
  listen(): void {
    if (!this.#isListening) onInterruption((signal) => (this.#signal ??= signal));
    this.#isListening = true;
  }

  get signal(): number | undefined {
    return this.#signal;
  }

  /** Drops a signal that was meant for another process, and waits for the next. */
  forget(): void {
    this.#signal = undefined;
  }
}

/**
 * Calls back with the number of a signal that asks us to end, also while we wait in a system call, which returns then. Signals
 * that our caller has us ignore (nohup) stay ignored.
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

const SIGTSTP = 20;

/** Stops our process group as Ctrl-Z does, and returns when it continues; at once if no shell could continue it. */
export function stopGroup(): void {
  // null is SIG_DFL: the kernel then stops nobody whom nobody could continue.
  libc.signal(SIGTSTP, null);
  libc.kill(0, SIGTSTP);
}
