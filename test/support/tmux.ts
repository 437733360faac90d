/** A real terminal: tmux with a server of the test's own, whose screen is read and whose keys are typed. */
import { join } from "node:path";
import { type Sandbox, until } from "./sandbox.ts";

export interface TmuxOptions {
  readonly columns?: number;
  readonly rows?: number;
  readonly env?: Record<string, string | undefined>;
}

export class Tmux implements AsyncDisposable {
  private constructor(
    readonly box: Sandbox,
    readonly socket: string,
  ) {}

  /** Starts a shell in a terminal of that size. */
  static async start(
    box: Sandbox,
    shell = "sh",
    { columns = 80, rows = 24, env = {} }: TmuxOptions = {},
  ): Promise<Tmux> {
    const tmux = new Tmux(box, join(box.directory, "tmux"));
    const size = ["-x", String(columns), "-y", String(rows)];
    const variables = { PS1: "$ ", LC_ALL: "C.UTF-8", TMUX: undefined, NO_COLOR: undefined, ...env };
    await tmux.#call(["-f", "/dev/null", "new-session", "-d", ...size, shell], variables);
    return tmux;
  }

  /** The lines of the screen, without spaces at their ends and without empty ones at the end. */
  async screen(): Promise<string[]> {
    const { stdout } = await this.#call(["capture-pane", "-p"]);
    return stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.trimEnd());
  }

  /** As screen, as one text with the sequences of its colours. */
  async colored(): Promise<string> {
    return (await this.#call(["capture-pane", "-p", "-e"])).stdout;
  }

  /** Waits until the screen is as wanted; returns it. */
  async shows(wanted: RegExp | ((lines: string[]) => boolean)): Promise<string[]> {
    const fits = typeof wanted === "function" ? wanted : (lines: string[]) => wanted.test(lines.join("\n"));
    let last: string[] = [];
    try {
      return await until(
        `the screen shows ${wanted}`,
        async () => fits((last = await this.screen())) && last,
      );
    } catch (error) {
      throw new Error(`${String(error)}; it shows:\n${last.join("\n")}`);
    }
  }

  /** Presses keys by their names (`Enter`, `C-c`, `Up`), or characters. */
  async press(...keys: readonly string[]): Promise<void> {
    await this.#call(["send-keys", ...keys]);
  }

  /** Types a line. */
  async line(text: string): Promise<void> {
    await this.#call(["send-keys", "-l", text]);
    await this.press("Enter");
  }

  /** As somebody who pastes a text. */
  async paste(text: string): Promise<void> {
    await this.#call(["set-buffer", text]);
    await this.#call(["paste-buffer", "-p"]);
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#call(["resize-window", "-x", String(columns), "-y", String(rows)]);
  }

  /** What tmux knows, as in `#{alternate_on}`. */
  async ask(format: string): Promise<string> {
    return (await this.#call(["display-message", "-p", format])).stdout.trimEnd();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#call(["kill-server"]);
  }

  async #call(words: readonly string[], env: Record<string, string | undefined> = {}) {
    return this.box.execute(["tmux", "-S", this.socket, ...words], { env });
  }
}
