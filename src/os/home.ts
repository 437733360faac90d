/** The state directory: where it is, whether it is safe to use, and the names of what is in it. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { type FileFacts, makeDirectory, statName, statPath, syncDirectory } from "./file.ts";
import { libc, SystemError } from "./libc.ts";
import { listLocks, probeLock } from "./lock.ts";
import {
  followPath,
  type Risk,
  STICKY,
  type Way,
  WRITABLE,
  WRITABLE_BY_GROUP,
  WRITABLE_BY_OTHERS,
  writersBesideOwner,
} from "./trust.ts";
import { userName } from "./users.ts";

export const DEFAULT_HOME = "/var/lib/orchesjob";

/** By group or others: who may go through a directory. */
const SEARCHABLE = 0o011;

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

/** Whether the directory is there. Throws `conflict` where it, or what is in it, is not safe to use: see contract, "State directory". */
export function checkHome(home: Home): boolean {
  const facts = checkPlace(home);
  if (facts === undefined) return false;
  checkContents(home, facts);
  return true;
}

/** Facts about the directory alone; undefined where there is none. Throws `conflict` where it, or the way to it, is not safe. */
export function checkPlace(home: Home): FileFacts | undefined {
  const { end: facts, risk } = follow(home.path);
  if (facts === undefined) return undefined;
  if (facts.kind !== "directory") {
    throw new OrchesjobError(
      "conflict",
      `the state directory ${home.path} is not a directory; set ORCHESJOB_HOME to another path`,
    );
  }
  checkOwner(home.path, facts);
  if ((facts.mode & WRITABLE) !== 0) {
    const target = targetOf(home.path);
    const real = target ?? home.path;
    const wayOut = isOfOthersToo(homeAt(real)) ? OWN_DIRECTORY : `run: chmod 700 ${real}`;
    throw new OrchesjobError(
      "conflict",
      `the state directory ${named(home.path, target)} may be written by others (mode ${facts.mode.toString(8)}), who could run commands in your name; ${wayOut}`,
    );
  }
  if (risk !== undefined) throw atRisk(home, risk, `the state directory ${home.path}`);
  return facts;
}

/** Throws `conflict` where the way to a directory that is not there yet is not safe. */
export function checkWay(home: Home): void {
  const { risk } = follow(home.path);
  if (risk !== undefined) throw atRisk(home, risk, `the state directory ${home.path}`);
}

/** `goal`: what the way leads to, for people. */
function atRisk(home: Home, { path, facts, why, isMode }: Risk, goal: string): OrchesjobError {
  const user = libc.geteuid();
  const better = user === 0 ? DEFAULT_HOME : "$HOME/.local/share/orchesjob";
  const wayOuts: string[] = [];
  if (isMode) wayOuts.push(`run${user === 0 || facts.uid === user ? "" : " as root"}: chmod +t ${path}`);
  else if (user === 0) wayOuts.push(`for jobs of that user run: sudo -u ${ownerName(facts.uid)} orchesjob …`);
  if (home.path !== better) wayOuts.push(`set ORCHESJOB_HOME to a directory elsewhere, e.g. ${better}`);
  return new OrchesjobError(
    "conflict",
    `${path}, on the way to ${goal}, ${why}, who could put something else there; ${wayOuts.join(", or ")}`,
  );
}

/** Throws `conflict` where somebody else may change what is in the directory, of which facts are given. */
export function checkContents(home: Home, facts: FileFacts): void {
  checkDatabase(home, facts);
  checkFolder(home, home.logs, facts);
  checkFolder(home, home.locks, facts);
}

function checkDatabase(home: Home, parent: FileFacts): void {
  const { facts, unwanted } = lookInside(home, home.database, parent);
  if (facts === undefined) return;
  if (facts.kind !== "file") throw new OrchesjobError("conflict", notAFile(home.database));
  checkOwner(home.database, facts);
  if ((facts.mode & unwanted) === 0) return;
  const target = targetOf(home.database);
  throw writableInside(home.database, target, facts, `run: chmod 600 ${target ?? `${home.database}*`}`);
}

/** Whether the folder is there. One that is no directory is told of by those who need it. */
function checkFolder(home: Home, path: string, parent: FileFacts): boolean {
  const { facts, unwanted } = lookInside(home, path, parent);
  if (facts === undefined) return false;
  if (facts.kind !== "directory") return true;
  if (facts.uid !== 0 && facts.uid !== libc.geteuid()) {
    const target = targetOf(path);
    const wayOut =
      target === undefined ? `run as root: chown ${ownerName(libc.geteuid())} ${path}` : ownTarget(path);
    throw new OrchesjobError(
      "conflict",
      `${named(path, target)} belongs to user ${ownerName(facts.uid)}, who could change what is in it; ${wayOut}`,
    );
  }
  if ((facts.mode & unwanted) !== 0) {
    const target = targetOf(path);
    throw writableInside(
      path,
      target,
      facts,
      target === undefined ? `run: chmod 700 ${path}` : ownTarget(path),
    );
  }
  return true;
}

function writableInside(
  path: string,
  target: string | undefined,
  { mode }: FileFacts,
  wayOut: string,
): OrchesjobError {
  return new OrchesjobError(
    "conflict",
    `${named(path, target)} may be written by others (mode ${mode.toString(8)}), who could change what jobs do and say; ${wayOut}`,
  );
}

/** What a symbolic link leads to in the end; undefined for what is none. */
function targetOf(path: string): string | undefined {
  if (lookAtName(path)?.kind !== "link") return undefined;
  return process.getBuiltinModule("node:fs").realpathSync(path);
}

function named(path: string, target: string | undefined): string {
  return target === undefined ? path : `${path}, a link to ${target},`;
}

/** The way out where a folder is a link to a directory that others use, which may be what it is for: /tmp, say. */
export function ownTarget(path: string): string {
  return `move what orchesjob has there to a directory of its own (mode 700), and let the link lead to that: ln -sfn DIRECTORY ${path}`;
}

/**
 * What has a name in the directory, and the bits that its mode must not have. Python made all group's too under a umask of
 * 002: that is as good as closed once the directory is. A symbolic link, to another disk, say, is followed, and the way
 * there must be as safe as that to the directory.
 */
function lookInside(
  home: Home,
  path: string,
  parent: FileFacts,
): { readonly facts: FileFacts | undefined; readonly unwanted: number } {
  const facts = lookAtName(path);
  if (facts?.kind !== "link")
    return { facts, unwanted: (parent.mode & SEARCHABLE) === 0 ? WRITABLE_BY_OTHERS : WRITABLE };
  const { end, risk } = follow(path);
  if (risk !== undefined) throw atRisk(home, risk, `what ${path} leads to`);
  return { facts: end, unwanted: WRITABLE };
}

/** A directory in the place of a database, say; or a FIFO, at which who opens it may wait for ever. */
export function notAFile(path: string): string {
  return `${path} is not a file; move it away, or set ORCHESJOB_HOME to another directory`;
}

/** Directories of the system, which everybody shares: see hier(7). To make one of them private would break the machine. */
const SYSTEM_DIRECTORIES: readonly string[] = [
  ..."/ /bin /boot /dev /etc /home /lib /lib32 /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp".split(
    " ",
  ),
  ..."/usr /usr/bin /usr/lib /usr/local /usr/local/bin /usr/sbin /usr/share".split(" "),
  ..."/var /var/cache /var/lib /var/local /var/log /var/run /var/spool /var/tmp".split(" "),
];

/** The way out where isOfOthersToo. */
export const OWN_DIRECTORY = "set ORCHESJOB_HOME to a directory of its own";

/**
 * Whether a directory has no database of ours, but something that is not ours either, or is open to everybody on purpose (/tmp,
 * say, or somebody's project). To make it private could break what it is for. One that the owner alone can have written to is
 * no such place: a client of ours may have made it, and put a file of its own there first.
 */
export function isOfOthersToo(home: Home): boolean {
  if (SYSTEM_DIRECTORIES.includes(home.path)) return true;
  if (look(home.database) !== undefined) return false;
  const mode = statPath(home.path)?.mode ?? 0;
  if ((mode & WRITABLE_BY_OTHERS) !== 0 && (mode & STICKY) !== 0) return true;
  const ours = [home.logs, home.locks, home.pipes, ...databaseFiles(home)].map((path) =>
    path.slice(path.lastIndexOf("/") + 1),
  );
  try {
    const { lstatSync, readdirSync } = process.getBuiltinModule("node:fs");
    const strange = readdirSync(home.path).filter((name) => !ours.includes(name));
    if (strange.length === 0) return false;
    const isOwners = (name: string) => lstatSync(`${home.path}/${name}`).uid === libc.geteuid();
    return !(isOwnersPlace(home) && strange.every(isOwners));
  } catch {
    return true;
  }
}

/** Whether nobody but the owner has, or had, to do with the directory: it is private, or open for a group without others. */
function isOwnersPlace({ path }: Home): boolean {
  const facts = statPath(path);
  if (facts === undefined || (facts.mode & WRITABLE_BY_OTHERS) !== 0) return false;
  if ((facts.mode & WRITABLE_BY_GROUP) !== 0) return writersBesideOwner(path, facts) === undefined;
  return (facts.mode & 0o077) === 0;
}

/** Throws `conflict` where jobs still run whose database is gone, or an empty file: they would not be found, and could run a
 *  second time. One that is there, and does not know them, is found out by who opens it (runner/forgotten.ts). */
export function refuseLostDatabase(home: Home): void {
  const isThere = () => (look(home.database)?.size ?? 0) > 0;
  if (isThere()) return;
  const running = listLocks(home.locks, 0)
    // A hook runs for a job that has ended.
    .filter((name) => !name.endsWith(HOOK_SUFFIX))
    .filter((jobId) => probeLock(lockFilePath(home, jobId)) === "held");
  // Another start may have made the database, and begun a job, while we looked.
  if (running.length === 0 || isThere()) return;
  throw new OrchesjobError(
    "conflict",
    `${home.database} is ${look(home.database) === undefined ? "gone" : "empty"}, but jobs that it knew still run (${running.join(", ")}); put it back, or wait for their end, so that none runs twice`,
  );
}

/** Makes what is missing of the directory, durably. Safe to call by many at once. */
export function createHome(home: Home): void {
  const facts = checkPlace(home) ?? makeHome(home);
  if (SYSTEM_DIRECTORIES.includes(home.path)) {
    throw new OrchesjobError(
      "conflict",
      `${home.path} is a directory of the system, and cannot be a state directory; ${OWN_DIRECTORY}`,
    );
  }
  checkDatabase(home, facts);
  for (const path of [home.logs, home.locks]) if (!checkFolder(home, path, facts)) makeDirectory(path);
}

function makeHome(home: Home): FileFacts {
  checkWay(home);
  try {
    makeDirectories(home.path);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new OrchesjobError(
      "general",
      `${error.message}; set ORCHESJOB_HOME to a directory that you may write, e.g. ORCHESJOB_HOME=$HOME/.local/share/orchesjob`,
    );
  }
  const facts = checkPlace(home);
  if (facts !== undefined) return facts;
  throw new OrchesjobError(
    "general",
    `the state directory ${home.path} is a symbolic link to nothing; remove it, or set ORCHESJOB_HOME to another path`,
  );
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
    throw elsewhere(error);
  }
}

/** As look, but a symbolic link is not followed. */
function lookAtName(path: string): FileFacts | undefined {
  try {
    return statName(path);
  } catch (error) {
    throw elsewhere(error);
  }
}

function follow(path: string): Way {
  try {
    return followPath(path);
  } catch (error) {
    throw elsewhere(error);
  }
}

function elsewhere(error: unknown): unknown {
  return error instanceof SystemError
    ? new OrchesjobError("general", `${error.message}; set ORCHESJOB_HOME to another directory`)
    : error;
}

function checkOwner(path: string, facts: FileFacts): void {
  if (facts.uid === libc.geteuid()) return;
  const owner = ownerName(facts.uid);
  const wayOut = isOfSystem(path, facts) ? OWN_DIRECTORY : `run: sudo -u ${owner} orchesjob …`;
  throw new OrchesjobError(
    "conflict",
    `${path} belongs to user ${owner}, and files that you make there would lock ${owner} out; ${wayOut}`,
  );
}

/** Root's, and no state directory: /etc, say, which is not to become one either. */
function isOfSystem(path: string, { uid, kind }: FileFacts): boolean {
  try {
    return uid === 0 && kind === "directory" && statPath(homeAt(path).database) === undefined;
  } catch {
    // Closed to us, as a state directory is.
    return false;
  }
}

/** A user as sudo(8) and chown(1) take it. */
export function ownerName(uid: number): string {
  return userName(uid) ?? `'#${uid}'`;
}
