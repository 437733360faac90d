/**
 * Keeps the documents true: types the ```console blocks of a Markdown file into one shell, from top to bottom, and
 * compares the output. A line `…` stands for lines left out; ids, times and process numbers match any. A command must
 * exit 0, unless the next one is `echo $?`; a command that shows no output in the text may print anything.
 */
import { cpSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { BINARY, ROOT, type Sandbox } from "./sandbox.ts";

export interface Step {
  readonly command: string;
  /** The output lines that the document shows below the command. */
  readonly expected: readonly string[];
  /** Line number in the document. */
  readonly line: number;
}

export interface Typed extends Step {
  readonly output: string;
  readonly code: number;
}

export function readDocument(name: string): string {
  return readFileSync(join(ROOT, name), "utf8");
}

/** Returns the commands of all console blocks, in order. A command continues in lines that begin with `> `. */
export function readSteps(markdown: string): Step[] {
  const steps: { command: string; expected: string[]; line: number }[] = [];
  let inside = false;
  markdown.split("\n").forEach((text, index) => {
    if (text.startsWith("```")) inside = text === "```console";
    else if (!inside) return;
    else if (text.startsWith("$ ")) steps.push({ command: text.slice(2), expected: [], line: index + 1 });
    else if (text.startsWith("> ") && steps.at(-1)!.expected.length === 0)
      steps.at(-1)!.command += `\n${text.slice(2)}`;
    else steps.at(-1)!.expected.push(text);
  });
  return steps;
}

/** The user and the directory that the documents show. */
const USER = "anna";

const MARK = "\u001e";

/** The state directory that the documents recommend to users. */
const STATE_DIRECTORY = ".local/share/orchesjob";

/**
 * Types all commands into one shell, in a home directory that holds the example programs. `prefix`: words in front of the
 * shell's command line, such as those that enter a namespace.
 */
export async function typeSteps(
  box: Sandbox,
  steps: readonly Step[],
  prefix: readonly string[] = [],
): Promise<Typed[]> {
  const bin = join(box.directory, ".bin");
  mkdirSync(bin);
  symlinkSync(BINARY, join(bin, "orchesjob"));
  cpSync(join(ROOT, "test/fixtures/docs"), box.directory, { recursive: true });
  const script = steps
    .map(({ command }) => `${command}\ncode=$?; printf '${MARK}%d${MARK}' "$code"; (exit "$code")`)
    .join("\n");
  const { stdout, code, signal } = await box.execute([...prefix, "sh", "-c", `exec 2>&1\n${script}`], {
    env: {
      HOME: box.directory,
      USER,
      PATH: `${bin}:${process.env["PATH"]}`,
      ORCHESJOB_HOME: join(box.directory, STATE_DIRECTORY),
      NO_COLOR: undefined,
    },
  });
  const parts = stdout.split(MARK);
  if (parts.length !== 2 * steps.length + 1)
    throw new Error(`the shell ended early (${signal ?? code}) after ${JSON.stringify(stdout.slice(-2000))}`);
  return steps.map((step, index) => ({
    ...step,
    output: (parts[2 * index] ?? "").replaceAll(box.directory, `/home/${USER}`),
    code: Number(parts[2 * index + 1] ?? -1),
  }));
}

/** Returns undefined if the step printed what the document shows, otherwise a description of the difference. */
export function findDifference(step: Typed, next: Typed | undefined): string | undefined {
  const where = `line ${step.line}: ${step.command}`;
  if (step.code !== 0 && next?.command !== "echo $?")
    return `${where}\nexits ${step.code}, and the text does not say so\n${step.output}`;
  if (step.expected.length === 0) return undefined;
  const real = step.output.replace(/\n$/, "").split("\n");
  return matches(step.expected.map(mask), real.map(mask))
    ? undefined
    : `${where}\nanswers, and the text shows something else:\n${step.output}`;
}

const MASKS: readonly [RegExp, string][] = [
  [/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "ID"],
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d/g, "TIME"],
  [/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, "TIME"],
  [/("(?:pid|worker_pid|target_pid)": )\d+/g, "$1PID"],
  [/("(?:cpu_seconds|max_rss_bytes|io_read_bytes|io_write_bytes)": )(?:[\d.]+|null)/g, "$1COUNT"],
  [/("fencing_token": )\d+/g, "$1TOKEN"],
  [/("selected_at": )\d+/g, "$1SECONDS"],
  [/^(\s+)\d+(,?)$/, "$1PID$2"],
  [/(process(?:es)?) \d+(?:, \d+)*/g, "$1 PID"],
  [/\b(?:\d+[smhd])+( ago|;|$)/g, "AGE$1"],
  [/( ago +)(?:\d+[smhd])+/g, "$1AGE"],
  [/("host": )"[^"]*"/g, '$1"HOST"'],
  [/\b(worker|target|hook) \d+/g, "$1 PID"],
  [/\(commit \w+(?:, bun [\d.]+)?\)/g, "(BUILD)"],
  [/\b\d+ +(orchesjob\.db|logs)/g, "SIZE $1"],
  [/ {2,}/g, "  "],
];

function mask(line: string): string {
  return MASKS.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), line.trimEnd());
}

function matches(expected: readonly string[], real: readonly string[]): boolean {
  const [first, ...rest] = expected;
  if (first === undefined) return real.length === 0;
  if (first.trim() === "…")
    return matches(rest, real) || (real.length > 0 && matches(expected, real.slice(1)));
  return real.length > 0 && first === real[0] && matches(rest, real.slice(1));
}
