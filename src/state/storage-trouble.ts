/**
 * Finds out why a database cannot be used: SQLite says only that it cannot. Tries what SQLite does, and takes the system's word:
 * opens each of its files, and writes a file without a name into its directory.
 */
import { DiskFullError, OrchesjobError, StorageError } from "../job/errors.ts";
import { shellWord } from "../job/shell-word.ts";
import { libc } from "../linux/ffi/libc.ts";
import { readFileSystem } from "../linux/file-system.ts";
import { statPath } from "../linux/stat.ts";
import { chownName, ownerName } from "./home.ts";

const SIDE_FILES = ["", "-wal", "-shm"];
/** As much as SQLite needs for the index of a write-ahead log. */
const TRIED_BYTES = 32_768;
/** Of O_TMPFILE, what is not O_DIRECTORY. */
const TMPFILE = 0o20000000;

/** The error with the reason of the system; the error itself if the system has none. */
export function explainStorage(error: unknown): unknown {
  if (!(error instanceof StorageError)) return error;
  const { path } = error;
  const directory = path.slice(0, path.lastIndexOf("/"));
  try {
    return explainFiles(path) ?? explainDirectory(path, directory) ?? error;
  } catch {
    // It is about the database, not about our look at it.
    return error;
  }
}

function explainFiles(path: string): OrchesjobError | undefined {
  for (const side of SIDE_FILES) {
    const file = path + side;
    if (statPath(file) === undefined) continue;
    const code = codeOf(() => openAndClose(file, constants().O_RDWR));
    if (code === "EROFS") return readOnly(path);
    if (code === "EACCES" || code === "EPERM") return notAllowed("you may not write", file, "600");
  }
  return undefined;
}

function explainDirectory(path: string, directory: string): OrchesjobError | undefined {
  const { O_RDWR, O_DIRECTORY } = constants();
  const found = codeOf(() => openAndClose(directory, TMPFILE | O_DIRECTORY | O_RDWR, TRIED_BYTES));
  const { freeBytes, freeFiles, totalFiles } = readFileSystem(directory);
  const hasNoFiles = totalFiles > 0 && freeFiles === 0;
  // Not every file system can make a file without a name.
  const isFull = freeBytes < TRIED_BYTES || hasNoFiles;
  const code = found === "EOPNOTSUPP" || found === "EISDIR" ? (isFull ? "ENOSPC" : undefined) : found;
  const where = shellWord(directory);
  switch (code) {
    case "ENOSPC":
      if (hasNoFiles)
        return new OrchesjobError(
          "general",
          `cannot use ${path}: its file system has no room for another file (no free inodes)`,
          `delete some files there and try again: df -i ${where}`,
        );
      return new DiskFullError(
        `cannot use ${path}: the disk is full`,
        `free some space and try again: df -h ${where}`,
      );
    case "EDQUOT":
      return new OrchesjobError(
        "general",
        `cannot use ${path}: your disk quota is used up`,
        "delete some of your files, or have the quota raised, and try again: quota -s",
      );
    case "EFBIG":
      return new OrchesjobError(
        "general",
        `cannot use ${path}: the limit of file sizes is too low for it (ulimit -f)`,
        "raise it: ulimit -f unlimited",
      );
    case "EROFS":
      return readOnly(path);
    case "EACCES":
    case "EPERM":
      return notAllowed("you may not create files in", directory, "700");
    default:
      return undefined;
  }
}

function readOnly(path: string): OrchesjobError {
  const directory = shellWord(path.slice(0, path.lastIndexOf("/")));
  return new OrchesjobError(
    "general",
    `cannot use ${path}: its file system is read-only`,
    `have it mounted for writing (see: findmnt -T ${directory}; dmesg), or set ORCHESJOB_HOME to another directory`,
  );
}

function notAllowed(what: string, path: string, mode: string): OrchesjobError {
  const facts = statPath(path);
  const isOurs = facts?.uid === libc.geteuid();
  const owner = facts === undefined ? "" : ` (owner ${ownerName(facts.uid)}, mode ${facts.mode.toString(8)})`;
  const command = isOurs ? `chmod ${mode}` : `chown ${chownName(libc.geteuid())}`;
  return new OrchesjobError(
    "general",
    `${what} ${path}${owner}`,
    `run${isOurs ? "" : " as root"}: ${command} ${shellWord(path)}`,
  );
}

const constants = () => process.getBuiltinModule("node:fs").constants;

/** Opens a file, and writes so many zeros into it. */
function openAndClose(path: string, flags: number, bytes = 0): void {
  const { openSync, writeSync, closeSync } = process.getBuiltinModule("node:fs");
  const fd = openSync(path, flags, 0o600);
  try {
    for (let rest = bytes; rest > 0;) rest -= writeSync(fd, new Uint8Array(rest), 0, rest, bytes - rest);
  } finally {
    closeSync(fd);
  }
}

/** The code of the error that a call throws; undefined if it succeeds. */
function codeOf(call: () => void): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}
