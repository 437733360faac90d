/** An interactive shell on a terminal, into which a test types lines and keys such as Tab. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { BINARY, type Sandbox, until } from "./sandbox.ts";

/**
 * For each shell: how to start it without a user's settings, and how to prepare it. `show` writes its arguments to a
 * file.
 */
const SHELLS = {
  bash: {
    command: ["bash", "--norc", "--noprofile", "-i"],
    setup: [
      // Tab lists at once, without a bell.
      "bind 'set show-all-if-ambiguous off'; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'",
      "source <(orchesjob completion bash)",
      "complete -o nosort -F _orchesjob show",
      `show() { printf '%s\\n' "$@" >"$BOX/shown.new"; mv "$BOX/shown.new" "$BOX/shown"; }`,
      `PROMPT_COMMAND='echo $((++lines)) >"$BOX/lines.new"; mv "$BOX/lines.new" "$BOX/lines"'`,
    ],
  },
  zsh: {
    command: ["zsh", "-f", "-i"],
    setup: [
      "autoload -Uz compinit; compinit -u -D; setopt no_beep no_auto_menu",
      "source <(orchesjob completion zsh)",
      "compdef _orchesjob show",
      `show() { printf '%s\\n' "$@" >"$BOX/shown.new"; mv "$BOX/shown.new" "$BOX/shown"; }`,
      `precmd() { echo $((++lines)) >"$BOX/lines.new"; mv "$BOX/lines.new" "$BOX/lines" }`,
    ],
  },
  fish: {
    command: ["fish", "--no-config", "-i"],
    setup: [
      "orchesjob completion fish | source",
      "complete -c show -w orchesjob",
      `function show; printf '%s\\n' $argv >$BOX/shown.new; mv $BOX/shown.new $BOX/shown; end`,
      `set -g lines 0`,
      `function fish_prompt; set lines (math $lines + 1); echo $lines >$BOX/lines.new; mv $BOX/lines.new $BOX/lines; end`,
    ],
  },
} as const;

export type ShellName = keyof typeof SHELLS;

export const TAB = "\t";

export class InteractiveShell implements AsyncDisposable {
  readonly #box: Sandbox;
  readonly #child: Bun.Subprocess;
  #screen = "";
  #lines = 0;

  private constructor(box: Sandbox, name: ShellName) {
    const decoder = new TextDecoder();
    this.#box = box;
    this.#child = Bun.spawn([...SHELLS[name].command], {
      cwd: box.directory,
      env: box.environment({
        BOX: box.directory,
        HOME: box.directory,
        PATH: `${dirname(BINARY)}:${process.env["PATH"]}`,
        TERM: "xterm",
        LC_ALL: "C.UTF-8",
        PS1: "$ ",
      }),
      terminal: {
        cols: 1000,
        rows: 50,
        data: (_, data) => void (this.#screen += decoder.decode(data, { stream: true })),
      },
    });
  }

  /** `first`: lines typed before all others. */
  static async open(box: Sandbox, name: ShellName, first: readonly string[] = []): Promise<InteractiveShell> {
    const shell = new InteractiveShell(box, name);
    for (const line of [...first, ...SHELLS[name].setup]) shell.#child.terminal!.write(`${line}\n`);
    await shell.#ready(1);
    return shell;
  }

  /** Types `show …` and Enter; returns the arguments that the command received. */
  async show(keys: string): Promise<string[]> {
    rmSync(join(this.#box.directory, "shown"), { force: true });
    const before = this.#lines;
    this.#child.terminal!.write(`show ${keys}\r`);
    await this.#ready(before + 1);
    const path = join(this.#box.directory, "shown");
    if (!existsSync(path))
      throw new Error(
        `nothing was shown: ${JSON.stringify(Bun.stripANSI(this.#screen).replace(/ {3,}/g, " … ").slice(-1000))}`,
      );
    return readFileSync(path, "utf8").replace(/\n$/, "").split("\n");
  }

  get screen(): string {
    return this.#screen;
  }

  /** Waits for the prompt that follows this many lines. */
  async #ready(lines: number): Promise<void> {
    const path = join(this.#box.directory, "lines");
    try {
      this.#lines = await until("the shell has come back", () => {
        const count = existsSync(path) ? Number(readFileSync(path, "utf8")) : 0;
        return count >= lines && count;
      });
    } catch (error) {
      throw new Error(
        `${String(error)}: ${JSON.stringify(Bun.stripANSI(this.#screen).replace(/ {3,}/g, " … ").slice(-1000))}`,
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}
