/** Whether the state directory is safe to use: see contract, "State directory". */
import { OrchesjobError } from "../job/errors.ts";
import { libc } from "../linux/ffi/libc.ts";
import { userName } from "../linux/ffi/users.ts";
import { type FileStat, statName, statPath } from "../linux/stat.ts";
import { DEFAULT_HOME, type Home, homeAt } from "./paths.ts";
import { elsewhere, isOfOthersToo, OWN_DIRECTORY } from "./shared-directory.ts";
import { followPath, type Risk, type Way, WRITABLE, WRITABLE_BY_OTHERS } from "./trust.ts";

/** By group or others: who may go through a directory. */
const SEARCHABLE = 0o011;

/** Whether the directory is there. Throws `conflict` where it, or what is in it, is not safe to use: see contract, "State directory". */
export function checkHome(home: Home): boolean {
  const facts = checkPlace(home);
  if (facts === undefined) return false;
  checkContents(home, facts);
  return true;
}

/** Facts about the directory alone; undefined where there is none. Throws `conflict` where it, or the way to it, is not safe. */
export function checkPlace(home: Home): FileStat | undefined {
  const { end: facts, risk } = follow(home.path);
  if (facts === undefined) return undefined;
  if (facts.kind !== "directory") {
    throw new OrchesjobError(
      "conflict",
      `the state directory ${home.path} is not a directory`,
      "set ORCHESJOB_HOME to another path",
    );
  }
  checkOwner(home.path, facts);
  if ((facts.mode & WRITABLE) !== 0) {
    const target = targetOf(home.path);
    const real = target ?? home.path;
    const hint = isOfOthersToo(homeAt(real)) ? OWN_DIRECTORY : `run: chmod 700 ${real}`;
    throw new OrchesjobError(
      "conflict",
      `the state directory ${named(home.path, target)} may be written by others (mode ${facts.mode.toString(8)}), who could run commands in your name`,
      hint,
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
  const hints: string[] = [];
  if (isMode) hints.push(`run${user === 0 || facts.uid === user ? "" : " as root"}: chmod +t ${path}`);
  else if (user === 0) hints.push(`for jobs of that user run: sudo -u ${ownerName(facts.uid)} orchesjob …`);
  if (home.path !== better) hints.push(`set ORCHESJOB_HOME to a directory elsewhere, e.g. ${better}`);
  return new OrchesjobError(
    "conflict",
    `${path}, on the way to ${goal}, ${why}, who could put something else there`,
    hints.join(", or "),
  );
}

/** Throws `conflict` where somebody else may change what is in the directory, of which facts are given. */
export function checkContents(home: Home, facts: FileStat): void {
  checkDatabase(home, facts);
  checkFolder(home, home.logs, facts);
  checkFolder(home, home.locks, facts);
}

export function checkDatabase(home: Home, parent: FileStat): void {
  const { facts, unwanted } = lookInside(home, home.database, parent);
  if (facts === undefined) return;
  if (facts.kind !== "file") throw notAFile(home.database);
  checkOwner(home.database, facts);
  if ((facts.mode & unwanted) === 0) return;
  const target = targetOf(home.database);
  throw writableInside(home.database, target, facts, `run: chmod 600 ${target ?? `${home.database}*`}`);
}

/** Whether the folder is there. One that is no directory is told of by those who need it. */
export function checkFolder(home: Home, path: string, parent: FileStat): boolean {
  const { facts, unwanted } = lookInside(home, path, parent);
  if (facts === undefined) return false;
  if (facts.kind !== "directory") return true;
  if (facts.uid !== 0 && facts.uid !== libc.geteuid()) {
    const target = targetOf(path);
    const hint =
      target === undefined ? `run as root: chown ${ownerName(libc.geteuid())} ${path}` : ownTarget(path);
    throw new OrchesjobError(
      "conflict",
      `${named(path, target)} belongs to user ${ownerName(facts.uid)}, who could change what is in it`,
      hint,
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
  { mode }: FileStat,
  hint: string,
): OrchesjobError {
  return new OrchesjobError(
    "conflict",
    `${named(path, target)} may be written by others (mode ${mode.toString(8)}), who could change what jobs do and say`,
    hint,
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
  parent: FileStat,
): { readonly facts: FileStat | undefined; readonly unwanted: number } {
  const facts = lookAtName(path);
  if (facts?.kind !== "link")
    return { facts, unwanted: (parent.mode & SEARCHABLE) === 0 ? WRITABLE_BY_OTHERS : WRITABLE };
  const { end, risk } = follow(path);
  if (risk !== undefined) throw atRisk(home, risk, `what ${path} leads to`);
  return { facts: end, unwanted: WRITABLE };
}

/** A directory in the place of a database, say; or a FIFO, at which who opens it may wait for ever. */
export function notAFile(path: string): OrchesjobError {
  return new OrchesjobError(
    "conflict",
    `${path} is not a file`,
    "move it away, or set ORCHESJOB_HOME to another directory",
  );
}

/** As look, but a symbolic link is not followed. */
function lookAtName(path: string): FileStat | undefined {
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

function checkOwner(path: string, facts: FileStat): void {
  if (facts.uid === libc.geteuid()) return;
  const owner = ownerName(facts.uid);
  const hint = isOfSystem(path, facts) ? OWN_DIRECTORY : `run: sudo -u ${owner} orchesjob …`;
  throw new OrchesjobError(
    "conflict",
    `${path} belongs to user ${owner}, and files that you make there would lock ${owner} out`,
    hint,
  );
}

/** Root's, and no state directory: /etc, say, which is not to become one either. */
function isOfSystem(path: string, { uid, kind }: FileStat): boolean {
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
