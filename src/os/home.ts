/** The state directory: where it is, whether it is safe to use, and the names of what is in it. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { type FileFacts, makeDirectory, statPath, syncDirectory } from "./file.ts";
import { libc, SystemError } from "./libc.ts";
import { listLocks, probeLock } from "./lock.ts";
import { userName } from "./users.ts";

export const DEFAULT_HOME = "/var/lib/orchesjob";

const WRITABLE_BY_GROUP_OR_OTHERS = 0o022;
const WRITABLE_BY_OTHERS = 0o002;
const STICKY = 0o1000;

export interface Home {
  readonly path: string;
  readonly database: string;
  readonly logs: string;
  readonly locks: string;
  /** FIFOs of those jobs whose output is a pipe; made when there is one. */
  readonly pipes: string;
}

/** The state directory that the environment names, made absolute. Nothing is touched. */
export function resolveHome(): Home {
  const named = process.env["ORCHESJOB_HOME"] || DEFAULT_HOME;
  if (named.includes("\uFFFD")) {
    throw new OrchesjobError("usage", "ORCHESJOB_HOME is not valid UTF-8; use a path that is");
  }
  return homeAt(named.startsWith("/") ? named : `${process.cwd()}/${named}`);
}

export function homeAt(path: string): Home {
  let end = path.length;
  while (end > 1 && path[end - 1] === "/") end -= 1;
  const clean = path.slice(0, end);
  return {
    path: clean,
    database: `${clean}/orchesjob.db`,
    logs: `${clean}/logs`,
    locks: `${clean}/locks`,
    pipes: `${clean}/pipes`,
  };
}

export function logFiles(home: Home, jobId: string): { readonly stdout: string; readonly stderr: string } {
  return { stdout: `${home.logs}/${jobId}.stdout`, stderr: `${home.logs}/${jobId}.stderr` };
}

/** What the job's stdin is where the caller gave it on its own. */
export function stdinFile(home: Home, jobId: string): string {
  return `${home.logs}/${jobId}.stdin`;
}

/** As logFiles, the FIFOs that are the output of a job whose output is a pipe. */
export function pipeFiles(home: Home, jobId: string): { readonly stdout: string; readonly stderr: string } {
  return { stdout: `${home.pipes}/${jobId}.stdout`, stderr: `${home.pipes}/${jobId}.stderr` };
}

/** The files on which those hold a lock who have the job's output open. */
export function outputFiles(home: Home, { jobId, output }: Pick<Job, "jobId" | "output">): readonly string[] {
  const { stdout, stderr } = output === "pipe" ? pipeFiles(home, jobId) : logFiles(home, jobId);
  return [stdout, stderr];
}

/** The copy of the Python orchesjob's database that an upgrade keeps. */
export function pythonCopy(home: Home): string {
  return `${home.database}.python`;
}

/** Names of the database and of the files that belong to it, in the order in which they come to be. */
export function databaseFiles(home: Home): readonly string[] {
  return [...["", "-wal", "-shm"].map((suffix) => home.database + suffix), pythonCopy(home)];
}

export function lockFilePath(home: Home, jobId: string): string {
  return `${home.locks}/${jobId}`;
}

/** Ends the names of a hook's files, which stand beside its job's. */
export const HOOK_SUFFIX = ".hook";

/** What the hook of a job has: the lock of who runs it, and its output. */
export function hookFiles(home: Home, jobId: string): { readonly lock: string; readonly log: string } {
  return { lock: `${home.locks}/${jobId}${HOOK_SUFFIX}`, log: `${home.logs}/${jobId}${HOOK_SUFFIX}` };
}

/** Whether the directory is there. Throws `conflict` where it is not safe to use: see contract, "State directory". */
export function checkHome(home: Home): boolean {
  const facts = look(home.path);
  if (facts === undefined) return false;
  if (facts.kind !== "directory") {
    throw new OrchesjobError(
      "conflict",
      `the state directory ${home.path} is not a directory; set ORCHESJOB_HOME to another path`,
    );
  }
  checkOwner(home.path, facts);
  if ((facts.mode & WRITABLE_BY_GROUP_OR_OTHERS) !== 0) {
    const wayOut = isOfOthersToo(home) ? OWN_DIRECTORY : `run: chmod 700 ${home.path}`;
    throw new OrchesjobError(
      "conflict",
      `the state directory ${home.path} may be written by others (mode ${facts.mode.toString(8)}), who could run commands in your name; ${wayOut}`,
    );
  }
  // Where the directory is, and where its name is: they differ for a symbolic link.
  for (const place of [`${home.path}/..`, parentOf(home.path)]) {
    const parent = look(place);
    if (parent !== undefined && (parent.mode & WRITABLE_BY_OTHERS) !== 0 && (parent.mode & STICKY) === 0) {
      throw new OrchesjobError(
        "conflict",
        `the directory above the state directory ${home.path} may be written by anyone, who could replace it; choose another place with ORCHESJOB_HOME`,
      );
    }
  }
  const database = look(home.database);
  if (database !== undefined) {
    if (database.kind !== "file") throw new OrchesjobError("conflict", notAFile(home.database));
    checkOwner(home.database, database);
  }
  return true;
}

/** A directory in the place of a database, say; or a FIFO, at which who opens it may wait for ever. */
export function notAFile(path: string): string {
  return `${path} is not a file; move it away, or set ORCHESJOB_HOME to another directory`;
}

/** The way out where isOfOthersToo. */
export const OWN_DIRECTORY = "set ORCHESJOB_HOME to a directory of its own";

/**
 * Whether a directory has no database of ours, but something that is not ours either: /tmp, say, or somebody's project. To
 * make it private could break what it is for.
 */
export function isOfOthersToo(home: Home): boolean {
  if (look(home.database) !== undefined) return false;
  const ours = [home.logs, home.locks, home.pipes, ...databaseFiles(home)].map((path) =>
    path.slice(path.lastIndexOf("/") + 1),
  );
  try {
    const names = process.getBuiltinModule("node:fs").readdirSync(home.path);
    return names.some((name) => !ours.includes(name));
  } catch {
    return true;
  }
}

/** Throws `conflict` where jobs still run whose database is gone: they would not be found, and could run a second time. */
export function refuseLostDatabase(home: Home): void {
  if (look(home.database) !== undefined) return;
  const running = listLocks(home.locks, 0)
    // A hook runs for a job that has ended.
    .filter((name) => !name.endsWith(HOOK_SUFFIX))
    .filter((jobId) => probeLock(lockFilePath(home, jobId)) === "held");
  // Another start may have made the database, and begun a job, while we looked.
  if (running.length === 0 || look(home.database) !== undefined) return;
  throw new OrchesjobError(
    "conflict",
    `${home.database} is gone, but jobs that it knew still run (${running.join(", ")}); put it back, or wait for their end, so that none runs twice`,
  );
}

/** Makes what is missing of the directory, durably. Safe to call by many at once. */
export function createHome(home: Home): void {
  try {
    makeDirectories(home.path);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new OrchesjobError(
      "general",
      `${error.message}; set ORCHESJOB_HOME to a directory that you may write, e.g. ORCHESJOB_HOME=$HOME/.local/share/orchesjob`,
    );
  }
  if (!checkHome(home)) {
    throw new OrchesjobError(
      "general",
      `the state directory ${home.path} is a symbolic link to nothing; remove it, or set ORCHESJOB_HOME to another path`,
    );
  }
  makeDirectory(home.logs);
  makeDirectory(home.locks);
}

function makeDirectories(path: string): void {
  if (statPath(path) !== undefined) return;
  const parent = parentOf(path);
  makeDirectories(parent);
  if (makeDirectory(path)) syncDirectory(parent);
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

function look(path: string): FileFacts | undefined {
  try {
    return statPath(path);
  } catch (error) {
    if (error instanceof SystemError)
      throw new OrchesjobError("general", `${error.message}; set ORCHESJOB_HOME to another directory`);
    throw error;
  }
}

function checkOwner(path: string, facts: FileFacts): void {
  if (facts.uid === libc.geteuid()) return;
  const owner = ownerName(facts.uid);
  throw new OrchesjobError(
    "conflict",
    `${path} belongs to user ${owner}, and files that you make there would lock ${owner} out; run: sudo -u ${owner} orchesjob …`,
  );
}

/** A user as sudo(8) and chown(1) take it. */
export function ownerName(uid: number): string {
  return userName(uid) ?? `'#${uid}'`;
}
