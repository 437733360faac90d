/** Warns about commands that will truncate their own log, because they open their stdout or stderr by name. */
import type { NewJob } from "../job/job.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { getVariable } from "../linux/ffi/environment.ts";
import { closeFile, openFile, readInto } from "../linux/file.ts";
import { statPath } from "../linux/stat.ts";

/** A name of stdout or stderr, unless it is opened for appending, which does not truncate. */
const NAME =
  /(?<!>>\s*|tee\s+(?:-a|--append)\s+)(?:\/dev\/std(?:out|err)|(?:\/proc\/self|\/dev)\/fd\/[12])(?![\w/.-])/;
const COMMENT = /^\s*#.*$/gm;
/** How much of a script is searched. */
const SCRIPT_BYTES = 65_536;
const FIRST_BYTES = 64;

/** Warnings, for people, if the command or the hook may truncate its own log. `directory`: where the command runs. */
export function findTruncations(
  { command, output, onExit, onFailure }: Pick<NewJob, "command" | "output" | "onExit" | "onFailure">,
  directory: string,
): readonly string[] {
  const warnings: string[] = [];
  const warn = (warning: string | undefined) => {
    if (warning !== undefined) warnings.push(warning);
  };
  if (output === "file") warn(findTruncation(command, directory));
  if (onExit !== null) warn(findHookTruncation(onExit.command, directory));
  if (onFailure !== null) warn(findHookTruncation(onFailure.command, directory));
  return warnings;
}

/** The warning for a command whose output is a file; undefined if there is none. */
function findTruncation(command: readonly string[], directory: string): string | undefined {
  const found = findIn("the command", command) ?? findInFile(command[0]!, directory);
  return found && explain(found, "job", "start it with --output pipe, or write >&1 or >&2 in its place");
}

/** The same for a hook, whose output is always a file: searches its text and the scripts that it executes. */
function findHookTruncation(hook: string, directory: string): string | undefined {
  let found = findIn("the hook", [hook]);
  for (const file of executedBy(hook)) {
    if (found !== undefined) break;
    const inside = findInFile(file, directory);
    found = inside && { ...inside, who: `${inside.who}, which the hook executes,` };
  }
  return found && explain(found, "hook", "write >&1 or >&2 in its place");
}

interface Found {
  readonly who: string;
  /** The name that is opened. */
  readonly name: string;
}

function explain({ who, name }: Found, whose: "job" | "hook", hint: string): string {
  return `${who} names ${name}: opening it for writing truncates the ${whose}'s log, and what was written before is lost; ${hint}`;
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
    // Not readable: the worker will report it if the command cannot be launched.
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/** The first word of each simple command in a shell text, without quotes. Finds only what needs no expansion. */
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

/** The beginning of a script; empty for a binary or anything but a regular file. */
function readScript(path: string): string {
  if (statPath(path)?.kind !== "file") return "";
  const fd = openFile(path, "read");
  try {
    const first = new Uint8Array(FIRST_BYTES);
    const count = readInto(fd, first);
    // A binary has a NUL byte there. A text needs no #!: without it, a shell runs it.
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
