/** Whether a command is about to truncate its own log, which it does where it opens its stdout or stderr by a name. */
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
const HASH = 35;
const EXCLAMATION = 33;

/** What to tell whoever starts this command with a file as its output; undefined: nothing. `directory`: where it begins. */
export function findTruncation(command: readonly string[], directory: string): string | undefined {
  for (const word of command) {
    const name = findName(word);
    if (name !== undefined) return explain("the command", name);
  }
  try {
    const file = findFile(command[0]!, directory);
    const name = file === undefined ? undefined : findName(readScript(file));
    return name === undefined ? undefined : explain(`${file}`, name);
  } catch (error) {
    // Whether it can be executed is for its worker to tell.
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

function explain(who: string, name: string): string {
  return `${who} names ${name}: opened for writing, it truncates the job's log, and what was written before is lost; start it with --output pipe, or write >&1 or >&2 in its place`;
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
    if (first[0] !== HASH || first[1] !== EXCLAMATION) return "";
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
