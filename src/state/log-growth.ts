/**
 * Waits for files to grow, for commands that follow a job's output. A short wait polls; then inotify takes over. That costs
 * nothing while nothing happens, but closing it takes the kernel 5 to 15 ms: a short job never pays that.
 */
import { cstring } from "../linux/ffi/call.ts";
import { libc } from "../linux/ffi/libc.ts";
import { closeFile, readInto } from "../linux/file.ts";
import { findEventLoop } from "../linux/signals.ts";
import { statPath } from "../linux/stat.ts";
import type { LockWatch } from "./job-lock.ts";

const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;
const IN_MODIFY = 0x2;

const FIRST_STEP_MS = 1;
const LONGEST_STEP_MS = 16;
/** Pause between two looks if inotify is used up (fs.inotify.max_user_instances), in ms. */
const FALLBACK_STEP_MS = 50;

export class GrowthWatch {
  #step = FIRST_STEP_MS;
  #inotify: number | undefined;
  #eventLoop: number | undefined;
  /** The owner has said that the command runs. */
  #isRunning = false;

  constructor(readonly files: readonly { readonly path: string }[]) {}

  /** Call it when there was something to read: the next wait starts anew. */
  reset(): void {
    if (this.#inotify === undefined) this.#step = FIRST_STEP_MS;
  }

  /** Blocks until a file grows, the owner is gone, a signal comes, or the time (ms) is over. Look again in any case. */
  wait(owner: LockWatch, timeoutMs: number): void {
    if (this.#inotify === undefined && this.#step > LONGEST_STEP_MS) {
      this.#inotify = this.#openInotify();
      // inotify reports nothing that was written before: look once before sleeping.
      if (this.#inotify !== undefined) return;
      // The files come with the command.
      if (!this.#isRunning) {
        this.#eventLoop ??= findEventLoop();
        this.#isRunning = owner.wait(timeoutMs, true, [this.#eventLoop]);
        return;
      }
      this.#step = LONGEST_STEP_MS;
    }
    const inotify = this.#inotify ?? -1;
    const step = this.#inotify === undefined ? this.#step : inotify < 0 ? FALLBACK_STEP_MS : timeoutMs;
    this.#step *= 2;
    this.#eventLoop ??= this.#inotify === undefined ? undefined : findEventLoop();
    owner.wait(Math.min(step, timeoutMs), false, [inotify, this.#eventLoop ?? -1]);
    if (inotify >= 0) drain(inotify);
  }

  close(): void {
    if (this.#inotify !== undefined && this.#inotify >= 0) closeFile(this.#inotify);
  }

  /** -1 if inotify cannot be had; undefined if the files do not exist yet. */
  #openInotify(): number | undefined {
    if (this.files.some(({ path }) => statPath(path) === undefined)) return undefined;
    const fd = libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) return -1;
    const watched = this.files.every(({ path }) => libc.inotify_add_watch(fd, cstring(path), IN_MODIFY) >= 0);
    if (watched) return fd;
    closeFile(fd);
    return -1;
  }
}

function drain(fd: number): void {
  try {
    readInto(fd, new Uint8Array(65_536));
  } catch {
    // Nothing to read: something else woke us.
  }
}
