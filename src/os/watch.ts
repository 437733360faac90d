/**
 * Waiting without work: a process sleeps in poll(2) on inotify until one of its files changes. Blocking the thread is
 * the point: nothing wakes up, no timer ticks, and a change is seen within a millisecond.
 */
import { closeFile, readInto, waitReadable } from "./file.ts";
import { cstring, libc } from "./libc.ts";

const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;
const IN_MODIFY = 0x2;
const IN_ATTRIB = 0x4;
/** Also fired by the kernel when a process that was killed had the file open for writing. */
const IN_CLOSE_WRITE = 0x8;
const IN_DELETE_SELF = 0x400;
const EVENTS = IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_DELETE_SELF;

/** Step where inotify is used up (fs.inotify.max_user_instances), in ms. */
const FALLBACK_STEP_MS = 10;

export class FileWatch {
  readonly #fd = libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  #blind = this.#fd < 0;

  /** Watches one more file. Call it before reading the state that is waited for: no change is missed then. */
  add(path: string): void {
    if (this.#fd >= 0 && libc.inotify_add_watch(this.#fd, cstring(path), EVENTS) < 0) this.#blind = true;
  }

  /** Blocks until a watched file changed, a signal came, or the time (ms) is over. Whatever it was: look again. */
  wait(timeoutMs: number): void {
    const step = this.#blind ? Math.min(timeoutMs, FALLBACK_STEP_MS) : timeoutMs;
    if (waitReadable(this.#fd, Math.max(0, Math.ceil(step)))) this.#drain();
  }

  close(): void {
    if (this.#fd >= 0) closeFile(this.#fd);
  }

  #drain(): void {
    readInto(this.#fd, new Uint8Array(65_536));
  }
}
