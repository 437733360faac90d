/** doctor's checks of the state directory: safe, complete, private to its owner, on a suitable file system with free space. */
import { bytesText } from "../job/bytes.ts";
import { libc } from "../linux/ffi/libc.ts";
import { mayWrite, readFileSystem, setMode } from "../linux/file-system.ts";
import { makeDirectory, readLink } from "../linux/file.ts";
import { statPath } from "../linux/stat.ts";
import { createHome } from "../state/create-home.ts";
import { checkContents, checkPlace, checkWay, chownName, ownerName, ownTarget } from "../state/home.ts";
import { jobOfLog, readNames, statLog } from "../state/log-directory.ts";
import { databaseFiles } from "../state/paths.ts";
import { isOfOthersToo, OWN_DIRECTORY } from "../state/shared-directory.ts";
import type { CheckContext } from "./check-context.ts";
import { type Finding, fromError, listText, ok, problem, warning } from "./finding.ts";
import { tryLocking } from "./locking.ts";

const PRIVATE_DIRECTORY = 0o700;
const PRIVATE_FILE = 0o600;
const OTHERS = 0o077;
const WRITABLE_BY_OTHERS = 0o022;

export function checkDirectory(checkContext: CheckContext): Finding {
  const { path } = checkContext.home;
  try {
    if (checkPlace(checkContext.home) !== undefined)
      return ok(`${path} belongs to ${ownerName(libc.geteuid())} alone`);
    checkWay(checkContext.home);
  } catch (error) {
    const finding = fromError(error);
    const mode = checkContext.access === "ours" ? (statPath(path)?.mode ?? 0) : 0;
    if ((mode & WRITABLE_BY_OTHERS) === 0 || isOfOthersToo(checkContext.home)) return finding;
    const fix = () => {
      setMode(path, PRIVATE_DIRECTORY);
      return `chmod 700 ${path}`;
    };
    return { ...finding, fix };
  }
  const place = nearestDirectory(path);
  if (!mayWrite(place)) {
    return problem(
      `${path} does not exist, and you may not create it in ${place}`,
      "create it as root and chown it to yourself, or set ORCHESJOB_HOME to a directory that you may write to",
    );
  }
  const fix = () => {
    createHome(checkContext.home);
    return `created ${path}`;
  };
  return { ...ok(`${path} does not exist yet; the first start creates it`), fix };
}

function nearestDirectory(path: string): string {
  for (let place = path; ;) {
    place = place.slice(0, place.lastIndexOf("/")) || "/";
    if (place === "/" || statPath(place) !== undefined) return place;
  }
}

export function checkFolders(checkContext: CheckContext): Finding {
  const blocker = checkContext.blocker();
  if (blocker !== undefined) return blocker;
  const folders = [checkContext.home.logs, checkContext.home.locks];
  const wrong = folders.filter((path) => (statPath(path)?.kind ?? "directory") !== "directory");
  if (wrong.length > 0)
    return problem(
      `${wrong.join(" and ")}: not a directory`,
      `move it away: mv ${wrong[0]} ${wrong[0]}.away`,
    );
  const missing = folders.filter((path) => statPath(path) === undefined);
  if (missing.length === 0) return ok("logs/ and locks/ exist");
  const text = `missing: ${missing.join(", ")}`;
  if (isOfOthersToo(checkContext.home)) return warning(text, OWN_DIRECTORY);
  return warning(
    text,
    `no action needed: the next start creates ${missing.length === 1 ? "it" : "them"}`,
    () => {
      missing.forEach(makeDirectory);
      return `created ${missing.join(", ")}`;
    },
  );
}

/** A file or directory with the wrong owner or mode. */
interface Mismatch {
  readonly path: string;
  readonly uid: number;
  readonly mode: number;
  readonly wanted: number;
  /** It has another name as well (a link), where others may need its mode. So doctor does not change it. */
  readonly isLinked: boolean;
}

export function checkPermissions(checkContext: CheckContext): Finding {
  const blocker = checkContext.blocker();
  if (blocker !== undefined) return blocker;
  const mismatches = [...findMismatches(checkContext)];
  const foreign = mismatches.filter(({ uid }) => uid !== libc.geteuid());
  if (foreign.length > 0) {
    return problem(
      `owned by another user: ${listText(foreign.map(({ path, uid }) => `${path} (${ownerName(uid)})`))}`,
      `as root: chown ${chownName(libc.geteuid())} ${foreign[0]!.path}`,
    );
  }
  const refusal = findRefusal(checkContext);
  if (mismatches.length === 0) return refusal ?? ok("directories are 0700 and files 0600");
  const text = `wrong permissions: ${listText(mismatches.map(({ path, mode }) => `${path} (${octal(mode)})`))}`;
  // With a refusal, no command works.
  const say = refusal === undefined ? warning : problem;
  if (isOfOthersToo(checkContext.home)) return say(text, OWN_DIRECTORY);
  const fixable = mismatches.filter(({ isLinked }) => !isLinked);
  const [first] = fixable;
  if (first === undefined) {
    const { path, wanted } = mismatches[0]!;
    const way =
      wanted === PRIVATE_DIRECTORY
        ? ownTarget(path)
        : `${path} has a second name (a hard link), which may need this mode; if it does not: chmod ${octal(wanted)} ${path}`;
    return refusal ?? warning(text, way);
  }
  const hint = `chmod ${octal(first.wanted)} ${first.path}, or orchesjob doctor --fix for all`;
  const fix = () => {
    for (const { path, wanted } of fixable) setMode(path, wanted);
    return `set modes: ${listText(fixable.map(({ path, wanted }) => `${octal(wanted)} ${path}`))}`;
  };
  return say(text, hint, fix);
}

/** Why commands refuse the contents of the directory; undefined if they do not. checkDirectory covers the directory itself. */
function findRefusal({ home }: CheckContext): Finding | undefined {
  const facts = statPath(home.path);
  try {
    if (facts !== undefined) checkContents(home, facts);
    return undefined;
  } catch (error) {
    return fromError(error);
  }
}

function* findMismatches({ home }: CheckContext): Generator<Mismatch> {
  const fits = (uid: number, mode: number, wanted: number) =>
    uid === libc.geteuid() && (mode & OTHERS) === 0 && (mode & wanted) === wanted;
  for (const path of [home.path, home.logs, home.locks, home.pipes]) {
    const facts = statPath(path);
    if (facts?.kind === "directory" && !fits(facts.uid, facts.mode, PRIVATE_DIRECTORY))
      yield {
        path,
        ...facts,
        wanted: PRIVATE_DIRECTORY,
        isLinked: path !== home.path && readLink(path) !== "",
      };
  }
  for (const path of databaseFiles(home)) {
    const facts = statLog(path);
    if (facts !== undefined && !fits(facts.uid, facts.mode, PRIVATE_FILE))
      yield { path, ...facts, wanted: PRIVATE_FILE, isLinked: facts.links > 1 };
  }
  for (const names of readNames(home.logs)) {
    for (const name of names) {
      const path = `${home.logs}/${name}`;
      const facts = jobOfLog(name) === undefined ? undefined : statLog(path);
      if (facts !== undefined && !fits(facts.uid, facts.mode, PRIVATE_FILE))
        yield { path, ...facts, wanted: PRIVATE_FILE, isLinked: facts.links > 1 };
    }
  }
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

const LOCAL_DISK = "set ORCHESJOB_HOME to a directory on a local disk";

export function checkFileSystem(checkContext: CheckContext): Finding {
  const blocker = checkContext.blocker();
  if (blocker !== undefined) return blocker;
  const wrong = tryLocking(checkContext.home.path);
  if (wrong !== undefined) return problem(`${wrong}: flock(2) does not work here`, LOCAL_DISK);
  const { type } = readFileSystem(checkContext.home.path);
  if (type === "tmpfs" || type === "ramfs")
    return warning(`${type}: a reboot deletes everything on it`, LOCAL_DISK);
  if (type !== undefined)
    return warning(`${type}: locks work from here, but other machines may not see them`, LOCAL_DISK);
  return ok("FIFOs and locks work");
}

const MIB = 1024 ** 2;
/** A problem below these: a start or a result might no longer be recorded. */
const LEAST_BYTES = 16 * MIB;
const LEAST_FILES = 100;
/** A warning below these, if it is also less than a twentieth of the total. */
const LITTLE_BYTES = 1024 * MIB;
const LITTLE_FILES = 10_000;

export function checkFreeSpace(checkContext: CheckContext): Finding {
  const blocker = checkContext.blocker();
  if (blocker !== undefined) return blocker;
  const { freeBytes, totalBytes, freeFiles, totalFiles } = readFileSystem(checkContext.home.path);
  const files = totalFiles === 0 ? "" : `, and room for ${freeFiles} files`;
  const message = `${bytesText(freeBytes)} of ${bytesText(totalBytes)} free${files}`;
  const hint = "free some space, e.g. orchesjob clean --older-than 30d; see orchesjob clean --help";
  if (freeBytes < LEAST_BYTES || (totalFiles > 0 && freeFiles < LEAST_FILES)) return problem(message, hint);
  const isLittle = (free: number, total: number, little: number) => free < Math.min(little, total / 20);
  return isLittle(freeBytes, totalBytes, LITTLE_BYTES) || isLittle(freeFiles, totalFiles, LITTLE_FILES)
    ? warning(message, hint)
    : ok(message);
}
