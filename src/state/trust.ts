/**
 * Whether a path can be trusted. Whoever may replace a directory on it, or a symbolic link, decides what stands at its end;
 * so each is judged, as sshd(8) judges the way to `authorized_keys`: it is root's or ours, and nobody else may write to it.
 * The sticky bit is enough, because with it only owners may replace what is theirs.
 */
import { cstring, ERRNO, SystemError } from "../linux/ffi/call.ts";
import { libc } from "../linux/ffi/libc.ts";
import { strangerInGroup, userName } from "../linux/ffi/users.ts";
import { readLink, readTextIfAny } from "../linux/file.ts";
import { type FileStat, statName } from "../linux/stat.ts";

export const WRITABLE_BY_GROUP = 0o020;
export const WRITABLE_BY_OTHERS = 0o002;
/** By either. */
export const WRITABLE = WRITABLE_BY_GROUP | WRITABLE_BY_OTHERS;
export const STICKY = 0o1000;
/** As many as the kernel follows: path_resolution(7). */
const MAX_LINKS = 40;

/** A directory, or a symbolic link, that somebody else may replace, or replace something in. */
export interface Risk {
  readonly path: string;
  readonly facts: FileStat;
  /** For people: `belongs to user anna (mode 755)`, `may be written by anyone (owner root, mode 777)`. */
  readonly why: string;
  /** Whether the sticky bit would be enough. */
  readonly isMode: boolean;
}

export interface Way {
  /** What stands at the end, symbolic links followed; undefined: nothing. */
  readonly end: FileStat | undefined;
  /** The first on the way there that is not safe. What stands at the end is not judged. */
  readonly risk: Risk | undefined;
}

/** Goes an absolute path from the root on, link by link, each time as the kernel does. Throws SystemError. */
export function followPath(path: string): Way {
  let risk: Risk | undefined;
  /** The directory that we are in, without links; empty for the root. */
  let place = "";
  let facts: FileStat | undefined;
  let rest = path;
  let links = 0;
  for (;;) {
    let start = 0;
    while (rest.charCodeAt(start) === SLASH) start += 1;
    if (start === rest.length) return { end: facts ?? statName(place || "/"), risk };
    let end = rest.indexOf("/", start);
    if (end < 0) end = rest.length;
    const name = rest.slice(start, end);
    rest = rest.slice(end);
    if (name === ".") continue;
    if (name === "..") {
      // Judged before it was left.
      place = place.slice(0, Math.max(0, place.lastIndexOf("/")));
      facts = undefined;
      continue;
    }
    facts ??= statName(place || "/");
    if (facts === undefined) return { end: undefined, risk };
    risk ??= findRisk(place || "/", facts);
    const next = `${place}/${name}`;
    const found = statName(next);
    if (found === undefined) return { end: undefined, risk };
    if (found.kind !== "link") {
      place = next;
      facts = found;
      continue;
    }
    risk ??= findRisk(next, found);
    links += 1;
    if (links > MAX_LINKS) throw new SystemError(`cannot look at ${path}`, ERRNO.ELOOP);
    const target = readLink(next);
    if (target.charCodeAt(0) === SLASH) {
      place = "";
      facts = undefined;
    }
    rest = target + rest;
  }
}

const SLASH = 47;

function findRisk(path: string, facts: FileStat): Risk | undefined {
  const { uid, mode, kind } = facts;
  if (uid !== 0 && uid !== libc.geteuid() && !isUnmapped(uid))
    return {
      path,
      facts,
      why: `belongs to user ${userName(uid) ?? uid} (mode ${octal(mode)})`,
      isMode: false,
    };
  // The mode of a link says nothing.
  if (kind === "link" || (mode & WRITABLE) === 0 || (mode & STICKY) !== 0) return undefined;
  const who = (mode & WRITABLE_BY_OTHERS) !== 0 ? "anyone" : writersBesideOwner(path, facts);
  if (who === undefined) return undefined;
  const why = `may be written by ${who} (owner ${userName(uid) ?? uid}, mode ${octal(mode)})`;
  return { path, facts, why, isMode: true };
}

/**
 * Who else may write to what its group may write to, for people; undefined where that is root and we alone. Many have a group
 * of their own, and a umask of 002 with it; a volume of Kubernetes belongs to a group that the container alone has.
 */
export function writersBesideOwner(path: string, { gid }: FileStat): string | undefined {
  // With a list (acl(5)), these bits of the mode are its mask.
  if (Number(libc.getxattr(cstring(path), cstring("system.posix_acl_access"), null, 0n)) > 0)
    return "those in its access list (getfacl)";
  // Who is in root's group is root's friend; some systems have users of their own there (sync, halt).
  if (gid === 0) return undefined;
  const stranger = strangerInGroup(gid, libc.geteuid());
  return stranger && `group ${stranger.group}, e.g. by ${stranger.user}`;
}

/** What a user without a number in our user namespace is shown as. */
const OVERFLOW_UID = 65_534;
const ALL_UIDS = 2 ** 32 - 1;

/**
 * Whether that owner may be anybody, since in this user namespace (a container without root) not all have a number: root on
 * the outside, whose directories are above ours then, cannot be told from others.
 */
function isUnmapped(uid: number): boolean {
  if (uid !== OVERFLOW_UID) return false;
  const map = readTextIfAny("/proc/self/uid_map");
  if (map === undefined) return false;
  let mapped = 0;
  for (const line of map.trim().split("\n")) mapped += Number(line.trim().split(/\s+/)[2]);
  return mapped < ALL_UIDS;
}

function octal(mode: number): string {
  return mode.toString(8);
}
