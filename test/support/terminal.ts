/** orchesjob on a pseudo terminal, as a person sees it. */
import { BINARY, type RunOptions, type Sandbox, until } from "./sandbox.ts";

export interface Screen {
  readonly process: Bun.Subprocess;
  /** All that was written to the terminal so far, escape sequences included. */
  shown(): string;
  /** Types text, e.g. "\u0003" for Ctrl-C. */
  type(text: string): void;
  /** The exit code, once all output has been read. */
  ended(): Promise<number>;
}

export interface ScreenOptions extends RunOptions {
  readonly columns?: number;
  readonly rows?: number;
}

export const CTRL_C = "\u0003";

/** The terminal says that it does not know its size. Bun cannot make such a one. */
const FORGET_SIZE = ["sh", "-c", 'stty cols 0 rows 0; exec "$0" "$@"'];

/** Runs orchesjob on a terminal of that size; `columns` 0: of unknown size. */
export function onTerminal(
  box: Sandbox,
  args: readonly string[],
  { columns = 80, rows = 24, cwd = box.directory, env = {} }: ScreenOptions = {},
): Screen {
  const decoder = new TextDecoder();
  let text = "";
  let closed = false;
  const child = Bun.spawn([...(columns === 0 ? FORGET_SIZE : []), BINARY, ...args], {
    cwd,
    env: box.environment({ NO_COLOR: undefined, TERM: "xterm-256color", ...env }),
    terminal: {
      cols: columns || 80,
      rows,
      data: (_, data) => void (text += decoder.decode(data, { stream: true })),
      exit: () => void (closed = true),
    },
  });
  return {
    process: child,
    shown: () => text,
    type: (keys) => void child.terminal!.write(keys),
    async ended() {
      const code = await child.exited;
      await until("the terminal is read to its end", () => closed);
      return code;
    },
  };
}

/** The lines of a text without colours. */
export function plainLines(text: string): string[] {
  return Bun.stripANSI(text).replaceAll("\r", "").trimEnd().split("\n");
}
