/** Reads and writes small files that anybody may read. For rare commands only: node:fs costs a start 0.8 ms. */
import { OrchesjobError } from "../job/errors.ts";

/** Undefined if there is none. Throws `general`. */
export function readTextFile(path: string): string | undefined {
  const { readFileSync } = process.getBuiltinModule("node:fs");
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw failure(`cannot read ${path}`, error);
  }
}

/** Writes a file that anybody may read, as a whole or not at all, and creates the directories above it. Throws `general`. */
export function replaceFile(path: string, text: string): void {
  replace(path, text, 0o644, true, true);
}

/** As replaceFile, for the owner alone, in a directory that exists. `isDurable`: it is there after a power failure, too. */
export function replacePrivateFile(path: string, text: string, isDurable = true): void {
  replace(path, text, 0o600, isDurable);
}

/**
 * As replacePrivateFile, for a file that a user names: one that is there keeps its mode, a symbolic link stays one, and what is no
 * file (/dev/stdout, a FIFO) is written to. Throws `general`.
 */
export function replaceKept(path: string, text: string): void {
  const fs = process.getBuiltinModule("node:fs");
  let found: { readonly target: string; readonly mode: number; readonly isFile: boolean } | undefined;
  try {
    const facts = fs.statSync(path, { throwIfNoEntry: false });
    found = facts && { target: fs.realpathSync(path), mode: facts.mode & 0o777, isFile: facts.isFile() };
    if (facts?.isDirectory()) throw new OrchesjobError("general", `cannot write ${path}: it is a directory`);
    if (found?.isFile === false) return fs.writeFileSync(path, text);
  } catch (error) {
    throw error instanceof OrchesjobError ? error : failure(`cannot write ${path}`, error);
  }
  replace(found?.target ?? endOfLinks(path), text, found?.mode ?? 0o600, true);
}

/** The file that symbolic links lead to, which need not exist. */
function endOfLinks(path: string): string {
  const { readlinkSync } = process.getBuiltinModule("node:fs");
  try {
    const link = readlinkSync(path);
    return endOfLinks(link.startsWith("/") ? link : `${path.slice(0, path.lastIndexOf("/") + 1)}${link}`);
  } catch {
    return path;
  }
}

function replace(path: string, text: string, mode: number, isDurable: boolean, makesDirectory = false): void {
  const fs = process.getBuiltinModule("node:fs");
  const draft = `${path}.${process.pid}.new`;
  try {
    if (makesDirectory)
      fs.mkdirSync(path.slice(0, path.lastIndexOf("/")) || "/", { recursive: true, mode: 0o755 });
    const fd = fs.openSync(draft, "wx", 0o600);
    try {
      fs.writeFileSync(fd, text);
      fs.fchmodSync(fd, mode);
      if (isDurable) fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(draft, path);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") fs.rmSync(draft, { force: true });
    throw failure(`cannot write ${path}`, error);
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

/** Takes the reason from Node's message: `ENOENT: no such file or directory, open '/x'`. */
function failure(what: string, error: unknown): OrchesjobError {
  const reason = /^[A-Z]+: ([^,]+)/.exec(error instanceof Error ? error.message : "")?.[1] ?? String(error);
  return new OrchesjobError("general", `${what}: ${reason}`);
}
