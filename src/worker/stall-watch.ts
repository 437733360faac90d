/**
 * Finds out when a job stalls: neither stream has had output for its --stall-after. It sleeps until that can be, at the earliest,
 * and looks at the logs then; while the job is stalled, inotify(7) reports the next output.
 */
import type { Instant } from "../job/job.ts";
import { after, now } from "../linux/clock.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { closeFile, openFile } from "../linux/file.ts";
import { statFd } from "../linux/stat.ts";
import { watchDirectory } from "../linux/watch-directory.ts";
import { debug } from "../state/debug.ts";
import { type Home, LOG_STREAMS, logFiles } from "../state/paths.ts";

/** The clock of file times may be this much behind, in ms: the kernel moves it with its ticks. */
const TICK_MS = 20;
/** A look that comes this much too late, in ms, shows that the worker was stopped, and maybe the command with it. */
const LATE_MS = 500;
/** Pause between two looks at a stalled job if inotify is used up, in ms. */
const FALLBACK_PAUSE_MS = 30_000;

export interface StallEvents {
  /** Copies into the logs what the command has written. Returns false if they cannot be written: then the command may wait. */
  catchUp(): boolean;
  /** `since`: when the last output came. */
  stalled(since: Instant): void;
  /** Output has come again. */
  resumed(): void;
}

export class StallWatch {
  /** Our own descriptors: a log that is renamed is the one that the command still writes to. */
  readonly #logs: readonly number[];
  #seen: string;
  /** On the clock of performance.now(), as all times here: it does not jump. */
  #lastOutput = performance.now();
  #lookedAt = this.#lastOutput;
  /** When the next look is due. */
  #dueAt = Number.POSITIVE_INFINITY;
  #isStalled = false;
  #isOver = false;
  #watches: readonly { close(): void }[] = [];

  constructor(
    home: Home,
    jobId: string,
    readonly stallAfterMs: number,
    readonly events: StallEvents,
  ) {
    const paths = logFiles(home, jobId);
    this.#logs = LOG_STREAMS.flatMap((stream) => openIfAny(paths[stream]));
    this.#seen = this.#read().seen;
    this.#lookAfter(stallAfterMs);
  }

  /** Looks for the last time. */
  finish(): void {
    if (this.#isStalled) this.#look();
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#unwatch();
    for (const log of this.#logs) closeFile(log);
  }

  #lookAfter(ms: number): void {
    this.#dueAt = performance.now() + ms + TICK_MS;
    after(ms + TICK_MS, () => this.#look());
  }

  #look(): void {
    if (this.#isOver) return;
    const isWritable = this.events.catchUp();
    const time = performance.now();
    const { seen, writtenAt } = this.#read();
    if (seen !== this.#seen) {
      this.#seen = seen;
      // It came after the last look, whatever the clock says that may have been set meanwhile.
      const age = Math.min(Math.max(0, Date.now() - writtenAt), time - this.#lookedAt);
      this.#lastOutput = time - age;
      if (this.#isStalled) {
        this.#isStalled = false;
        this.#unwatch();
        debug?.note("output comes again");
        this.events.resumed();
      }
    }
    this.#lookedAt = time;
    if (this.#isStalled) return;
    const lateMs = time - this.#dueAt;
    if (!isWritable) this.#lastOutput = time;
    // Nobody knows whether the command could write meanwhile.
    else if (lateMs > LATE_MS) this.#lastOutput = Math.min(time, this.#lastOutput + lateMs);
    const silentMs = time - this.#lastOutput;
    if (silentMs < this.stallAfterMs) {
      this.#lookAfter(this.stallAfterMs - silentMs);
      return;
    }
    this.#isStalled = true;
    debug?.note(`stalled: no output for ${Math.round(silentMs)} ms`);
    this.events.stalled(now() - Math.round(silentMs * 1000));
    if (!this.#isOver) this.#watch();
  }

  #read(): { readonly seen: string; readonly writtenAt: number } {
    const facts = this.#logs.flatMap((log) => statFd(log) ?? []);
    return {
      seen: facts.map(({ size, modifiedAt }) => `${size} ${modifiedAt}`).join(),
      writtenAt: Math.max(0, ...facts.map(({ modifiedAt }) => modifiedAt)),
    };
  }

  /** Looks again with the next output. */
  #watch(): void {
    try {
      this.#watches = this.#logs.map((log) => watchDirectory(`/proc/self/fd/${log}`, () => this.#look()));
    } catch (error) {
      debug?.note("cannot watch the logs; looks at them now and then", error);
      this.#poll();
    }
    // What came before is not reported.
    setImmediate(() => this.#look());
  }

  #poll(): void {
    after(FALLBACK_PAUSE_MS, () => {
      this.#look();
      if (this.#isStalled && !this.#isOver) this.#poll();
    });
  }

  #unwatch(): void {
    for (const watch of this.#watches) watch.close();
    this.#watches = [];
  }
}

function openIfAny(path: string): readonly number[] {
  try {
    return [openFile(path, "read")];
  } catch (error) {
    // Deleted already.
    if (error instanceof SystemError) return [];
    throw error;
  }
}
