/**
 * Decides whether a path can be trusted. Whoever may replace a directory on it, or a symbolic link, decides what is at its
 * end. So each must be root's or ours, and nobody else may write to it, as sshd(8) demands on the path to `authorized_keys`.
 * The sticky bit is enough, because with it only owners may replace what is theirs.
 */
import { cstring, ERRNO, SystemError } from "../linux/ffi/call.ts";
import { libc } from "../linux/ffi/libc.ts";
import { strangerInGroup, userName } from "../linux/ffi/users.ts";
import { readLink, readTextIfAny } from "../linux/file.ts";
import { type FileStat, statName } from "../linux/stat.ts";

export const WRITABLE_BY_GROUP = 0o020;
export const WRITABLE_BY_OTHERS = 0o002;
/** By group or others. */
export const WRITABLE = WRITABLE_BY_GROUP | WRITABLE_BY_OTHERS;
export const STICKY = 0o1000;
/** As many as the kernel follows: path_resolution(7). */
const MAX_LINKS = 40;

/** A directory, or a symbolic link, that somebody else may replace, or replace something in. */
export interface Risk {
  readonly path: string;
  readonly facts: FileStat;
  /** For the user: `belongs to user anna (mode 755)`, `is writable by anyone (owner root, mode 777)`. */
  readonly why: string;
  /** Whether the sticky bit would be enough. */
  readonly isMode: boolean;
}

export interface Way {
  /** What is at the end, symbolic links followed; undefined: nothing. */
  readonly end: FileStat | undefined;
  /** The first directory or link on the path that is not safe. What is at the end is not judged. */
  readonly risk: Risk | undefined;
}

/** Follows an absolute path from the root on, link by link, as the kernel does. Throws SystemError. */
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
      // The parent was judged on the way down.
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
    if (links > MAX_LINKS) throw new SystemError(`cannot access ${path}`, ERRNO.ELOOP);
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
  const why = `is writable by ${who} (owner ${userName(uid) ?? uid}, mode ${octal(mode)})`;
  return { path, facts, why, isMode: true };
}

/**
 * Says, for the user, who else may write to what its group may write to; undefined if only root and we may. Many users have a
 * group of their own, and a umask of 002 with it; a volume of Kubernetes belongs to a group that only the container has.
 */
export function writersBesideOwner(path: string, { gid }: FileStat): string | undefined {
  // With an access list (acl(5)), the group's bits of the mode are its mask.
  if (Number(libc.getxattr(cstring(path), cstring("system.posix_acl_access"), null, 0n)) > 0)
    return "those in its access list (getfacl)";
  // We trust root's group; some systems have users of their own there (sync, halt).
  if (gid === 0) return undefined;
  const stranger = strangerInGroup(gid, libc.geteuid());
  return stranger && `group ${stranger.group}, e.g. by ${stranger.user}`;
}

/** The uid that the kernel shows for a user who has none in our user namespace. */
const OVERFLOW_UID = 65_534;
const ALL_UIDS = 2 ** 32 - 1;

/**
 * Whether that owner may be anybody, because not all users have a uid in this user namespace (a container without root): root
 * outside, whose directories are above ours then, looks like any other.
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
