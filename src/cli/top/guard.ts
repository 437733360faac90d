/**
 * Restores the terminal if `top` dies without doing so, as after SIGKILL: a process of its own, which sleeps on a pipe until
 * the other end is closed. It leads a session of its own, so that whoever signals the group of `top` does not reach it.
 */
import { SystemError } from "../../linux/ffi/call.ts";
import { closeFile, duplicateUp, moveUp, readInto, writeAll } from "../../linux/file.ts";
import { makePipe } from "../../linux/pipe.ts";
import { spawnOwn } from "../../linux/own-process.ts";
import { applySettings, readSettings, type TerminalSettings, writeWhatFits } from "../../linux/terminal.ts";

export const GUARD_COMMAND = "_guard";

/** Its descriptors: the pipe, and the terminal. */
const PIPE = 3;
const TERMINAL = 4;

/** All is well: somebody has restored the terminal. */
const DONE = "done\n";

/** How long it waits, in ms: a shell that restores the settings itself does it at once, and then sets its own. */
const SHELL_MS = 300;

const encoder = new TextEncoder();

/** What the guard has to know, as a line of JSON. */
interface Orders {
  readonly saved: readonly number[];
  readonly raw: readonly number[];
  /** The sequence that leaves the screen of `top`. */
  readonly sequence: string;
}

export class Guard {
  private constructor(readonly pipe: number) {}

  /** Undefined if it cannot be started: `top` does without. `raw`: the settings of `top`. */
  static start(
    terminal: number,
    settings: { readonly saved: TerminalSettings; readonly raw: TerminalSettings },
    sequence: string,
  ): Guard | undefined {
    const descriptors: number[] = [];
    let write: number | undefined;
    try {
      const ends = makePipe();
      write = ends.write;
      descriptors.push(moveUp(ends.read), duplicateUp(terminal));
      spawnOwn({ words: [GUARD_COMMAND], descriptors, variables: [] });
      const orders: Orders = { saved: [...settings.saved], raw: [...settings.raw], sequence };
      writeAll(write, encoder.encode(`${JSON.stringify(orders)}\n`));
      return new Guard(write);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      if (write !== undefined) closeFile(write);
      return undefined;
    } finally {
      for (const descriptor of descriptors) closeFile(descriptor);
    }
  }

  /** Tells it that it is not needed any more. */
  dismiss(): void {
    try {
      writeAll(this.pipe, encoder.encode(DONE));
    } catch (error) {
      // Somebody has killed it.
      if (!(error instanceof SystemError)) throw error;
    }
    closeFile(this.pipe);
  }
}

/** What the process of the guard does. */
export async function runGuard(): Promise<void> {
  const text = readToEnd();
  const [orders = "", rest] = [text.slice(0, text.indexOf("\n")), text.slice(text.indexOf("\n") + 1)];
  if (orders === "" || rest === DONE) return;
  const { saved, raw, sequence } = JSON.parse(orders) as Orders;
  await Bun.sleep(SHELL_MS);
  // Other settings than those of `top` are those of a shell, or of whatever runs there now.
  const current = readSettings(TERMINAL);
  if (current === undefined) return;
  if (current.every((byte, index) => byte === raw[index])) applySettings(TERMINAL, Uint8Array.from(saved));
  const message = "orchesjob: top was killed; if the terminal does not work as before, type: reset";
  writeWhatFits(TERMINAL, encoder.encode(`${sequence}\r\n${message}\r\n`));
}

function readToEnd(): string {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  let text = "";
  for (let count = readInto(PIPE, buffer); count > 0; count = readInto(PIPE, buffer))
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
  return text;
}
