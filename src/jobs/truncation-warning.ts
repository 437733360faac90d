/** Whether a command is about to truncate its own log, which it does where it opens its stdout or stderr by a name. */
import type { NewJob } from "../job/job.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { getVariable } from "../linux/ffi/environment.ts";
import { closeFile, openFile, readInto } from "../linux/file.ts";
import { statPath } from "../linux/stat.ts";

/** Appending is harmless. */
const NAME =
  /(?<!>>\s*|tee\s+(?:-a|--append)\s+)(?:\/dev\/std(?:out|err)|(?:\/proc\/self|\/dev)\/fd\/[12])(?![\w/.-])/;
const COMMENT = /^\s*#.*$/gm;
/** How much of a script is looked at. */
const SCRIPT_BYTES = 65_536;
const FIRST_BYTES = 64;

/** What the caller should know of a command, or a hook, that may truncate its own log; for people. */
export function findTruncations(
  { command, output, onExit }: Pick<NewJob, "command" | "output" | "onExit">,
  directory: string,
): readonly string[] {
  const found = [
    output === "file" ? findTruncation(command, directory) : undefined,
    onExit === null ? undefined : findHookTruncation(onExit.command, directory),
  ];
  return found.filter((truncation) => truncation !== undefined);
}

/** What to tell whoever starts this command with a file as its output; undefined: nothing. `directory`: where it begins. */
function findTruncation(command: readonly string[], directory: string): string | undefined {
  const found = findIn("the command", command) ?? findInFile(command[0]!, directory);
  return found && explain(found, "job", "start it with --output pipe, or write >&1 or >&2 in its place");
}

/** The same of a hook, whose output is always a file: in its text, and in the scripts that this executes. */
function findHookTruncation(hook: string, directory: string): string | undefined {
  let found = findIn("the hook", [hook]);
  for (const file of executedBy(hook)) {
    if (found !== undefined) break;
    const inside = findInFile(file, directory);
    found = inside && { ...inside, who: `${inside.who}, which the hook names,` };
  }
  return found && explain(found, "hook", "write >&1 or >&2 in its place");
}

interface Found {
  readonly who: string;
  /** What is opened there. */
  readonly name: string;
}

function explain({ who, name }: Found, whose: "job" | "hook", hint: string): string {
  return `${who} names ${name}: opened for writing, it truncates the ${whose}'s log, and what was written before is lost; ${hint}`;
}

function findIn(who: string, words: readonly string[]): Found | undefined {
  for (const word of words) {
    const name = findName(word);
    if (name !== undefined) return { who, name };
  }
  return undefined;
}

function findInFile(name: string, directory: string): Found | undefined {
  try {
    const file = findFile(name, directory);
    return file === undefined ? undefined : findIn(file, [readScript(file)]);
  } catch (error) {
    // Whether it can be executed is for who executes it to tell.
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/** The first word of each simple command of a shell's text, without quotes; what only a shell could tell is left out. */
function executedBy(text: string): readonly string[] {
  const firstWord = /^\s*(?:\w+=\S*\s+|exec\s+)*(["']?)([\w.+/-]+)\1(?:\s|$)/;
  return text.split(/[;&|(){}\n]/).flatMap((part) => firstWord.exec(part)?.[2] ?? []);
}

function findName(text: string): string | undefined {
  if (!text.includes("/dev/") && !text.includes("/fd/")) return undefined;
  return NAME.exec(text.replace(COMMENT, ""))?.[0];
}

function findFile(file: string, directory: string): string | undefined {
  if (file.startsWith("/")) return file;
  if (file.includes("/")) return `${directory}/${file}`;
  for (const place of getVariable("PATH").split(":")) {
    const path = `${place.startsWith("/") ? place : `${directory}/${place}`}/${file}`;
    if (statPath(path)?.kind === "file") return path;
  }
  return undefined;
}

/** The beginning of a script; empty for what is none. */
function readScript(path: string): string {
  if (statPath(path)?.kind !== "file") return "";
  const fd = openFile(path, "read");
  try {
    const first = new Uint8Array(FIRST_BYTES);
    const count = readInto(fd, first);
    // A program has a NUL byte there. A text without #! is run by the shell.
    if (first.subarray(0, count).includes(0)) return "";
    const rest = new Uint8Array(SCRIPT_BYTES);
    rest.set(first.subarray(0, count));
    let length = count;
    for (;;) {
      const more = readInto(fd, rest.subarray(length));
      length += more;
      if (more === 0 || length === SCRIPT_BYTES) break;
    }
    return new TextDecoder().decode(rest.subarray(0, length));
  } finally {
    closeFile(fd);
  }
}
