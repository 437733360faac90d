/** The loop of `top`: waits for keys, for changes of the database and for the time, and draws. */
import { SIGNAL_BASE } from "../../job/exit-status.ts";
import type { Job } from "../../job/job.ts";
import { isFollowed } from "../../job/retry.ts";
import { isActive } from "../../job/status.ts";
import { now } from "../../linux/clock.ts";
import { onInterruption, SIGHUP } from "../../linux/signals.ts";
import type { Context } from "../../state/context.ts";
import { dieOf } from "../../systemd/unit.ts";
import { cancelInBackground, rerun } from "./actions.ts";
import type { Key } from "./keys.ts";
import { LogReader } from "./log-reader.ts";
import type { Look } from "./look.ts";
import {
  current,
  type Effect,
  initialState,
  type LogPage,
  settle,
  type State,
  withCurrent,
} from "./model.ts";
import { press } from "./press.ts";
import { draw } from "./screen.ts";
import { Session } from "./session.ts";
import { ifReadable, SEARCH_LIMIT, Source, USUAL_LIMIT } from "./source.ts";

/** How often to look whether the database, or a log that is shown, has changed, in ms. */
const LOOK_MS = 250;
/** How often the times on the screen go on, in ms. */
const STEP_MS = 1_000;
/** Reading takes no more than this share of the time, and more jobs are read less often, … */
const SHARE = 1 / 150;
/** … but at least this often, in ms. */
const LONGEST_STEP_MS = 5_000;

/** Returns the exit code. Throws OrchesjobError before the terminal has changed. */
export async function runTop(outside: Context, terminal: number, look: Look): Promise<number> {
  const top = new Top(outside, terminal, look);
  return top.run();
}

class Top {
  readonly #source: Source;
  readonly #session: Session;
  readonly #context: Context;
  #state: State | undefined;
  /** The state that is on the screen. */
  #drawn: State | undefined;
  /** Of the data that the history on the screen belongs to. */
  #historyRevision = 0;
  #keys: Key[] = [];
  #signal: number | undefined;
  #failure: unknown;
  #isOver = false;
  #readAt = Number.NEGATIVE_INFINITY;
  /** How long that took, in ms. */
  #readMs = 0;
  #isOutdated = true;
  #log: LogReader | undefined;
  #wake: () => void = () => undefined;

  constructor(outside: Context, terminal: number, look: Look) {
    // A message on stderr would stand in the middle of the screen.
    this.#context = Object.create(outside, {
      notify: { value: (message: string) => this.#say(message) },
      progress: { value: () => undefined },
    }) as Context;
    this.#source = new Source(this.#context, () => this.#refresh());
    this.#session = new Session(terminal, look, {
      onKeys: (keys) => {
        this.#keys.push(...keys);
        this.#wake();
      },
      onResize: () => this.#resize(),
      onEnd: () => this.#interrupt(SIGHUP),
    });
  }

  async run(): Promise<number> {
    await this.#source.open();
    onInterruption((signal) => this.#interrupt(signal));
    for (const event of ["uncaughtException", "unhandledRejection"] as const)
      process.on(event, (error: unknown) => this.#fail(error));
    try {
      this.#state = initialState(this.#session.size, await this.#source.read(USUAL_LIMIT));
      this.#session.start();
      while (!this.#isOver) await this.#step();
    } finally {
      this.#session.close();
      await this.#source.close();
    }
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#signal === undefined) return 0;
    dieOf(this.#signal);
    return SIGNAL_BASE + this.#signal;
  }

  async #step(): Promise<void> {
    for (let key = this.#keys.shift(); key !== undefined && !this.#isOver; key = this.#keys.shift()) {
      const { state, effect } = press(this.#state!, key);
      const isSearching = state.filter !== "" && this.#state!.filter === "";
      // Whoever types ahead, or pastes, has not seen the question: what follows is no answer.
      if (state.question !== undefined && this.#state!.question === undefined) this.#keys = [];
      this.#state = state;
      if (isSearching) this.#isOutdated = true;
      if (effect !== undefined) await this.#perform(effect);
    }
    if (this.#isOver) return;
    if (this.#isOutdated || this.#isDue()) await this.#read();
    await this.#readLog();
    if (this.#state !== this.#drawn && this.#session.draw(draw(this.#state!, this.#session.look)))
      this.#drawn = this.#state;
    await this.#sleep();
  }

  /** Whether something new is to be read, and little enough was read lately. */
  #isDue(): boolean {
    const elapsed = performance.now() - this.#readAt;
    if (elapsed < Math.min(LONGEST_STEP_MS, this.#readMs / SHARE)) return false;
    return elapsed >= STEP_MS || this.#source.hasChanged();
  }

  #sleep(): Promise<void> {
    if (this.#keys.length > 0 || this.#isOver || this.#isOutdated) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, LOOK_MS);
    this.#wake = () => {
      clearTimeout(timer);
      resolve();
    };
    return promise;
  }

  async #read(): Promise<void> {
    this.#isOutdated = false;
    const begin = performance.now();
    const data = await this.#source.read(this.#state!.filter === "" ? USUAL_LIMIT : SEARCH_LIMIT);
    this.#readAt = performance.now();
    this.#readMs = this.#readAt - begin;
    this.#state = settle({ ...this.#state!, data: { ...data, at: now() } });
    const { page } = current(this.#state);
    if (page.kind !== "history") return;
    if (page.runs !== undefined && this.#historyRevision === data.revision) return;
    const found = await ifReadable(() => this.#source.history(page.runKey), this.#say);
    if (found === undefined) return;
    this.#historyRevision = data.revision;
    this.#state = settle(withCurrent(this.#state!, { page: { ...page, ...found } }));
  }

  /** What the job of the page has written since. */
  async #readLog(): Promise<void> {
    const { page, first } = current(this.#state!);
    if (page.kind !== "log") {
      this.#log = undefined;
      return;
    }
    const { target, stream } = page;
    if (this.#log?.jobId !== target.jobId || this.#log.stream !== stream)
      this.#log = new LogReader(this.#context, target.jobId, stream);
    const found = await ifReadable(async () => ({ job: await this.#source.find(target.jobId) }), this.#say);
    if (found === undefined) return;
    const { job } = found;
    const { dropped } = this.#log;
    const text =
      job === undefined
        ? { job, lines: [], isCut: false, sizes: { stdout: 0, stderr: 0 }, problem: "The job was deleted." }
        : await this.#log.read(job);
    // Whoever follows a job follows the run: its next attempt, too.
    if (job !== undefined && isActive(target.status) && isFollowed(job) && page.follows)
      return this.#followNext(page, job);
    // Lines that were dropped above must not move those in sight.
    const moved = first - (this.#log.dropped - dropped);
    this.#state = settle(withCurrent(this.#state!, { page: { ...page, text }, first: moved }));
  }

  #followNext(page: LogPage, { runKey, retry, attemptNo }: Job): void {
    const target = { jobId: retry!.nextJobId!, runKey, status: "STARTING" } as const;
    this.#state = settle(withCurrent(this.#state!, { page: { ...page, target, text: undefined } }));
    this.#say(`Attempt ${attemptNo} has failed; this is the next one.`);
  }

  async #perform(effect: Effect): Promise<void> {
    switch (effect.do) {
      case "quit":
        this.#isOver = true;
        return;
      case "suspend":
        return this.#session.suspend();
      case "redraw":
        return this.#forget();
      case "read":
        this.#isOutdated = true;
        return;
      case "cancel":
        this.#say(`Cancelling ${effect.target.runKey} …`);
        void cancelInBackground(effect.target).then(
          (message) => this.#report(message),
          (error: unknown) => this.#fail(error),
        );
        return;
      case "rerun":
        this.#report(await rerun(this.#context, effect.target));
    }
  }

  #report(message: string): void {
    this.#say(message);
    this.#refresh();
  }

  readonly #say = (message: string): void => {
    if (this.#state !== undefined) this.#state = { ...this.#state, message };
  };

  #refresh(): void {
    this.#isOutdated = true;
    this.#wake();
  }

  #forget(): void {
    this.#session.forget();
    this.#drawn = undefined;
  }

  #resize(): void {
    this.#forget();
    if (this.#state !== undefined) this.#state = settle({ ...this.#state, size: this.#session.size });
    this.#wake();
  }

  #interrupt(signal: number): void {
    this.#signal ??= signal;
    this.#isOver = true;
    this.#wake();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#isOver = true;
    this.#wake();
  }
}
