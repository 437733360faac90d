/** The terminal while `top` has it: its settings, its other screen, its keys. Gives it back as it was, whatever happens. */
import { SystemError } from "../../linux/ffi/call.ts";
import { closeFile } from "../../linux/file.ts";
import { pollFor, POLLOUT } from "../../linux/poll.ts";
import { stopGroup } from "../../linux/signals.ts";
import {
  applySettings,
  openAgain,
  rawSettings,
  readSettings,
  type TerminalSettings,
  type TerminalSize,
  terminalSize,
  writeWhatFits,
} from "../../linux/terminal.ts";
import { Guard } from "./guard.ts";
import { type Key, KeyReader } from "./keys.ts";
import type { Look } from "./look.ts";
import { enterSequence, leaveSequence, Painter, type Picture } from "./painter.ts";

/** An Escape that nothing follows within this time, in ms, is the key. */
const ESCAPE_MS = 50;
/** How long leaving waits for a terminal that takes nothing, in ms. */
const FLUSH_MS = 200;
/** After a stop that stopped nobody, and before anything is drawn again, in ms. */
const CONTINUE_MS = 50;

const encoder = new TextEncoder();

export interface Listener {
  onKeys(keys: readonly Key[]): void;
  /** The size has changed, or the screen must be drawn again. */
  onResize(): void;
  /** The terminal is gone. */
  onEnd(): void;
}

export class Session {
  readonly #output: number;
  readonly #painter: Painter;
  readonly #keys = new KeyReader();
  #saved: TerminalSettings | undefined;
  #guard: Guard | undefined;
  /** What the terminal has not taken yet. */
  #pending = new Uint8Array(0);
  #isInside = false;

  constructor(
    readonly terminal: number,
    readonly look: Look,
    readonly listener: Listener,
  ) {
    this.#output = openAgain(terminal);
    this.#painter = new Painter(look);
  }

  get size(): TerminalSize {
    return terminalSize(this.terminal);
  }

  /** Takes the terminal, and listens to its keys. Throws SystemError if the terminal is gone. */
  start(): void {
    this.#enter();
    process.stdin.on("data", (bytes: Uint8Array) => this.#onBytes(bytes));
    process.stdin.on("end", () => this.listener.onEnd());
    process.stdin.on("error", () => this.listener.onEnd());
    process.on("SIGWINCH", () => this.listener.onResize());
    process.on("SIGTSTP", this.#onStop);
    // After SIGSTOP, which nobody can catch, the shell has given the terminal other settings.
    process.on("SIGCONT", () => {
      if (!this.#isInside) return;
      this.#enter();
      this.listener.onResize();
    });
  }

  /** Draws what has changed. False if the terminal has not taken the last picture yet, or is not ours now. */
  draw(picture: Picture): boolean {
    if (!this.#isInside || !this.#flush()) return false;
    this.#send(this.#painter.paint(picture));
    return true;
  }

  /** The next picture is drawn whole. */
  forget(): void {
    this.#painter.forget();
  }

  /** Gives the terminal back, stops as any program does on Ctrl-Z, and takes it again when a shell continues us. */
  async suspend(): Promise<void> {
    this.leave();
    process.off("SIGTSTP", this.#onStop);
    stopGroup();
    await Bun.sleep(CONTINUE_MS);
    process.on("SIGTSTP", this.#onStop);
    this.#enter();
    this.listener.onResize();
  }

  /** Gives the terminal back. May be called again. */
  leave(): void {
    if (!this.#isInside) return;
    this.#isInside = false;
    try {
      this.#send(leaveSequence(this.look));
      const deadline = performance.now() + FLUSH_MS;
      while (!this.#flush() && performance.now() < deadline)
        pollFor([[this.#output, POLLOUT]], deadline - performance.now());
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
    }
    this.#pending = new Uint8Array(0);
    if (this.#saved !== undefined) applySettings(this.terminal, this.#saved);
    this.#guard?.dismiss();
    this.#guard = undefined;
  }

  close(): void {
    this.leave();
    process.stdin.pause();
    if (this.#output !== this.terminal) closeFile(this.#output);
  }

  readonly #onStop = () => void this.suspend();

  #enter(): void {
    const now = readSettings(this.terminal);
    if (now === undefined) return this.listener.onEnd();
    if (!this.#isInside) this.#saved = now;
    const saved = this.#saved!;
    const raw = rawSettings(saved);
    this.#guard ??= Guard.start(this.terminal, { saved, raw }, leaveSequence(this.look));
    // In the background this stops us, before anything is drawn over another program.
    applySettings(this.terminal, raw);
    this.#isInside = true;
    this.#painter.forget();
    this.#send(enterSequence(this.look));
  }

  #onBytes(bytes: Uint8Array): void {
    this.listener.onKeys(this.#keys.feed(bytes));
    if (this.#keys.isPending)
      setTimeout(() => this.#keys.isPending && this.listener.onKeys(this.#keys.flush()), ESCAPE_MS);
  }

  #send(text: string): void {
    if (text === "") return;
    this.#pending = Buffer.concat([this.#pending, encoder.encode(text)]);
    this.#flush();
  }

  /** Whether the terminal has taken everything. */
  #flush(): boolean {
    while (this.#pending.length > 0) {
      const count = writeWhatFits(this.#output, this.#pending);
      if (count === 0) return false;
      this.#pending = this.#pending.subarray(count);
    }
    return true;
  }
}
