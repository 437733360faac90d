/** Checks whether the state directory is safe to use: it, its contents and the path to it must not be writable by others. */
import { OrchesjobError } from "../job/errors.ts";
import { shellWord } from "../job/shell-word.ts";
import { libc } from "../linux/ffi/libc.ts";
import { userName } from "../linux/ffi/users.ts";
import { type FileStat, statName, statPath } from "../linux/stat.ts";
import { DEFAULT_HOME, type Home, homeAt } from "./paths.ts";
import { elsewhere, isOfOthersToo, OWN_DIRECTORY } from "./shared-directory.ts";
import { followPath, type Risk, type Way, WRITABLE, WRITABLE_BY_OTHERS } from "./trust.ts";

/** Permission of group or others to go through a directory. */
const SEARCHABLE = 0o011;

/** Whether the directory exists. Throws `conflict` if it, or what is in it, is not safe to use. */
export function checkHome(home: Home): boolean {
  const facts = checkPlace(home);
  if (facts === undefined) return false;
  checkContents(home, facts);
  return true;
}

/** Facts about the directory alone; undefined if there is none. Throws `conflict` if it, or the path to it, is not safe. */
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
  checkOwner(home, home.path, facts);
  if ((facts.mode & WRITABLE) !== 0) {
    const target = targetOf(home.path);
    const real = target ?? home.path;
    const hint = isOfOthersToo(homeAt(real)) ? OWN_DIRECTORY : `run: chmod 700 ${real}`;
    throw new OrchesjobError(
      "conflict",
      `the state directory ${named(home.path, target)} is writable by others (mode ${facts.mode.toString(8)}), who could run commands in your name`,
      hint,
    );
  }
  if (risk !== undefined) throw atRisk(home, risk, `the state directory ${home.path}`);
  return facts;
}

/** Throws `conflict` if the path to a directory that does not exist yet is not safe. */
export function checkWay(home: Home): void {
  const { risk } = follow(home.path);
  if (risk !== undefined) throw atRisk(home, risk, `the state directory ${home.path}`);
}

/** `goal`: what the path leads to, for the user. */
function atRisk(home: Home, { path, facts, why, isMode }: Risk, goal: string): OrchesjobError {
  const user = libc.geteuid();
  const better = user === 0 ? DEFAULT_HOME : "$HOME/.local/share/orchesjob";
  const hints: string[] = [];
  if (isMode) hints.push(`run${user === 0 || facts.uid === user ? "" : " as root"}: chmod +t ${path}`);
  else if (user === 0) hints.push(`for jobs of that user run: ${asUser(home, facts.uid)}`);
  if (home.path !== better) hints.push(`set ORCHESJOB_HOME to a directory elsewhere, e.g. ${better}`);
  return new OrchesjobError(
    "conflict",
    `${path}, on the path to ${goal}, ${why}, who could put something else there`,
    hints.join(", or "),
  );
}

/** Throws `conflict` if somebody else may change what is in the directory. `facts` are the directory's. */
export function checkContents(home: Home, facts: FileStat): void {
  checkDatabase(home, facts);
  checkFolder(home, home.logs, facts);
  checkFolder(home, home.locks, facts);
}

export function checkDatabase(home: Home, parent: FileStat): void {
  const { facts, unwanted } = lookInside(home, home.database, parent);
  if (facts === undefined) return;
  if (facts.kind !== "file") throw notAFile(home.database);
  checkOwner(home, home.database, facts);
  if ((facts.mode & unwanted) === 0) return;
  const target = targetOf(home.database);
  throw writableInside(home.database, target, facts, `run: chmod 600 ${target ?? `${home.database}*`}`);
}

/** Whether the folder exists. If it is no directory, the code that needs it reports that. */
export function checkFolder(home: Home, path: string, parent: FileStat): boolean {
  const { facts, unwanted } = lookInside(home, path, parent);
  if (facts === undefined) return false;
  if (facts.kind !== "directory") return true;
  if (facts.uid !== 0 && facts.uid !== libc.geteuid()) {
    const target = targetOf(path);
    const hint =
      target === undefined ? `run as root: chown ${chownName(libc.geteuid())} ${path}` : ownTarget(path);
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
    `${named(path, target)} is writable by others (mode ${mode.toString(8)}), who could change what jobs do and report`,
    hint,
  );
}

/** The final target of a symbolic link; undefined for anything else. */
function targetOf(path: string): string | undefined {
  if (lookAtName(path)?.kind !== "link") return undefined;
  return process.getBuiltinModule("node:fs").realpathSync(path);
}

function named(path: string, target: string | undefined): string {
  return target === undefined ? path : `${path}, a link to ${target},`;
}

/** The hint if a folder is a link to a directory that others use, perhaps on purpose, such as /tmp. */
export function ownTarget(path: string): string {
  return `move orchesjob's files there to a directory of their own (mode 700), and point the link to it: ln -sfn DIRECTORY ${path}`;
}

/**
 * Facts about a name in the directory, and the bits that its mode must not have. The Python orchesjob's files are the group's
 * as well under a umask of 002, which is safe in a closed directory. A symbolic link, to another disk for example, is
 * followed, and its path must be as safe as the directory's.
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
  if (risk !== undefined) throw atRisk(home, risk, `the target of ${path}`);
  return { facts: end, unwanted: WRITABLE };
}

/** The error for a directory in the place of a database, for example, or a FIFO, whose opening could block for ever. */
export function notAFile(path: string): OrchesjobError {
  return new OrchesjobError(
    "conflict",
    `${path} is not a file`,
    "move it away, or set ORCHESJOB_HOME to another directory",
  );
}

/** As look, but does not follow a symbolic link. */
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

function checkOwner(home: Home, path: string, facts: FileStat): void {
  if (facts.uid === libc.geteuid()) return;
  const owner = ownerName(facts.uid);
  const hint = isOfSystem(path, facts) ? OWN_DIRECTORY : `run: ${asUser(home, facts.uid)}`;
  throw new OrchesjobError(
    "conflict",
    `${path} belongs to user ${owner}, and files that you create there would lock ${owner} out`,
    hint,
  );
}

/** The command line of another user for this directory; sudo(8) does not pass ORCHESJOB_HOME on. */
function asUser({ path }: Home, uid: number): string {
  const environment = path === DEFAULT_HOME ? "" : `env ORCHESJOB_HOME=${shellWord(path)} `;
  return `sudo -u ${ownerName(uid)} ${environment}orchesjob …`;
}

/** Whether it is a directory of root's, such as /etc, that is no state directory and must not become one. */
function isOfSystem(path: string, { uid, kind }: FileStat): boolean {
  try {
    return uid === 0 && kind === "directory" && statPath(homeAt(path).database) === undefined;
  } catch {
    // We may not look into it, as into somebody's state directory.
    return false;
  }
}

/** A user's name; without a name, the number as sudo(8) takes it. */
export function ownerName(uid: number): string {
  return userName(uid) ?? `'#${uid}'`;
}

/** A user's name; without a name, the number as chown(1) takes it. */
export function chownName(uid: number): string {
  return userName(uid) ?? String(uid);
}
