/** A test's own state directory, and the compiled program to run in it. Disposing of it fails if a process is left. */
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkAnswer } from "./answers.ts";

export const ROOT = new URL("../..", import.meta.url).pathname;
export const BINARY = process.env["ORCHESJOB_BINARY"] ?? join(ROOT, "dist/orchesjob");

/**
 * The timeout of a test, in ms: on a busy machine many need more than Bun's five seconds. Each file sets it, because
 * Bun applies what a preload or an import sets to the first file only.
 */
export const TIMEOUT_MS = 60_000;

export interface Finished {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string | undefined>;
  readonly stdin?: string;
}

export class Sandbox implements AsyncDisposable {
  readonly directory: string;
  readonly home: string;
  /** What runs, and its command. */
  readonly #children = new Map<Bun.Subprocess, readonly string[]>();

  constructor() {
    this.directory = realpathSync(mkdtempSync(join(tmpdir(), "orchesjob-test-")));
    this.home = join(this.directory, "home");
  }

  /** The environment of everything that runs here. */
  environment(extra: Record<string, string | undefined> = {}): Record<string, string | undefined> {
    return { ...process.env, ORCHESJOB_HOME: this.home, ...extra };
  }

  /** Starts any program here; `finished` collects its output, and throws if an answer of orchesjob is not as declared. */
  spawn(
    command: readonly string[],
    options: RunOptions = {},
  ): Bun.Subprocess<"ignore" | Blob, "pipe", "pipe"> {
    const child = Bun.spawn([...command], {
      cwd: options.cwd ?? this.directory,
      env: this.environment(options.env),
      stdin: options.stdin === undefined ? "ignore" : new Blob([options.stdin]),
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#children.set(child, command);
    return child;
  }

  async finished(child: Bun.Subprocess<"ignore" | Blob, "pipe", "pipe">): Promise<Finished> {
    const [stdout, stderr] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    await child.exited;
    const command = this.#children.get(child) ?? [];
    this.#children.delete(child);
    const program = command.indexOf(BINARY);
    // Not what a script has made of it.
    if (program >= 0 && !command.slice(0, program).includes("-c"))
      checkAnswer(BINARY, command.slice(program + 1), stdout);
    return {
      code: child.exitCode,
      signal: child.signalCode === null ? null : String(child.signalCode),
      stdout,
      stderr,
    };
  }

  /** Runs any program here to its end. */
  async execute(command: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return this.finished(this.spawn(command, options));
  }

  /** Runs orchesjob to its end. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return this.execute([BINARY, ...args], options);
  }

  /** Runs orchesjob, which must exit 0, and returns its answer. */
  async json<T = JobAnswer>(args: readonly string[], options: RunOptions = {}): Promise<T> {
    const result = await this.run(args, options);
    if (result.code !== 0)
      throw new Error(`orchesjob ${args.join(" ")}: exit ${result.code} ${result.signal}: ${result.stderr}`);
    return JSON.parse(result.stdout) as T;
  }

  /** Living processes that belong to this sandbox, by their environment or command line. */
  processes(): number[] {
    const owned = (pid: string): boolean => {
      try {
        const text =
          readFileSync(`/proc/${pid}/environ`, "utf8") + readFileSync(`/proc/${pid}/cmdline`, "utf8");
        return (
          text.includes(this.directory) &&
          !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
        );
      } catch {
        return false;
      }
    };
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid && owned(name))
      .map(Number);
  }

  /** Ends everything and removes the directory. Throws if it had to kill a process: a test cleans up after itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children.keys()) child.kill("SIGKILL");
    const survivors = await settle(() => this.processes());
    for (const pid of survivors) killHard(pid);
    rmSync(this.directory, { recursive: true, force: true });
    if (survivors.length > 0) throw new Error(`the test left processes behind: ${survivors.join(", ")}`);
  }
}

/** The answer of start and status; see docs/json.md. */
export interface JobAnswer {
  readonly accepted: boolean;
  readonly existing: boolean;
  readonly mode: string;
  readonly run_key: string;
  readonly job_id: string;
  readonly pid: number | null;
  readonly command: readonly string[];
  readonly status: string;
  readonly stdout_file: string;
  readonly stderr_file: string;
  readonly exit_code: number | null;
  readonly started_at: string;
  readonly finished_at: string | null;
  readonly attempt_no: number;
  readonly fencing_token: number;
  readonly strict: boolean;
  readonly command_matches: boolean;
  readonly command_shortened: boolean;
  readonly worker_pid: number | null;
  readonly target_pid: number | null;
  readonly signal: string | null;
  readonly error: string | null;
  readonly lost_reason: string | null;
  readonly orphan_pids: readonly number[];
  readonly orphan_ended_at: string | null;
  readonly orphan_exit_code: number | null;
  readonly orphan_signal: string | null;
  readonly failure: string | null;
  readonly properties: readonly string[];
  readonly unit: string | null;
  readonly warnings: readonly string[];
}

async function settle(list: () => number[]): Promise<number[]> {
  const deadline = Date.now() + 3_000;
  for (;;) {
    const found = list();
    if (found.length === 0 || Date.now() > deadline) return found;
    await Bun.sleep(20);
  }
}

function killHard(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone meanwhile.
  }
}

type Falsy = undefined | null | false | 0 | "";

/**
 * Waits until `condition` returns something truthy; empty text and 0 count as "not yet", as when a file is still
 * unwritten. Throws with the description after `seconds`, which is only a safety net.
 */
export async function until<T>(
  what: string,
  condition: () => T | Falsy | Promise<T | Falsy>,
  seconds = 30,
): Promise<Exclude<T, Falsy>> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value as Exclude<T, Falsy>;
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain: ${what}`);
    await Bun.sleep(5);
  }
}

/** Whether a process lives; a zombie does not. */
export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
