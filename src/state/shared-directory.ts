/**
 * Decides whether a directory belongs to more than orchesjob. Such a directory must neither become a state directory nor be
 * made private as one.
 */
import { OrchesjobError } from "../job/errors.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { libc } from "../linux/ffi/libc.ts";
import { type FileStat, statName, statPath } from "../linux/stat.ts";
import { databaseFiles, type Home } from "./paths.ts";
import { STICKY, WRITABLE_BY_GROUP, WRITABLE_BY_OTHERS, writersBesideOwner } from "./trust.ts";

/** Directories of the system, which everybody shares: see hier(7). Making one of them private would break the machine. */
export const SYSTEM_DIRECTORIES: readonly string[] = [
  ..."/ /bin /boot /dev /etc /home /lib /lib32 /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp".split(
    " ",
  ),
  ..."/usr /usr/bin /usr/lib /usr/local /usr/local/bin /usr/sbin /usr/share".split(" "),
  ..."/var /var/cache /var/lib /var/local /var/log /var/run /var/spool /var/tmp".split(" "),
];

/** The hint for a directory that isOfOthersToo. */
export const OWN_DIRECTORY = "set ORCHESJOB_HOME to a directory of its own";

/**
 * Whether a directory has no database of ours, but other files, or is open to everybody on purpose (/tmp, for example, or
 * somebody's project). Making it private could break what it is for. A directory that only its owner can have written to does
 * not count: a client of ours may have created it, and put a file of its own there first.
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
    const { readdirSync } = process.getBuiltinModule("node:fs");
    const strange = readdirSync(home.path).filter((name) => !ours.includes(name));
    if (strange.length === 0) return false;
    const isOwners = (name: string) => statName(`${home.path}/${name}`)?.uid === libc.geteuid();
    return !(isOwnersPlace(home) && strange.every(isOwners));
  } catch {
    return true;
  }
}

/** Whether only the owner can have written to the directory: it is private, or open to a group without other members. */
function isOwnersPlace({ path }: Home): boolean {
  const facts = statPath(path);
  if (facts === undefined || (facts.mode & WRITABLE_BY_OTHERS) !== 0) return false;
  if ((facts.mode & WRITABLE_BY_GROUP) !== 0) return writersBesideOwner(path, facts) === undefined;
  return (facts.mode & 0o077) === 0;
}

export function look(path: string): FileStat | undefined {
  try {
    return statPath(path);
  } catch (error) {
    throw elsewhere(error);
  }
}

export function elsewhere(error: unknown): unknown {
  return error instanceof SystemError
    ? new OrchesjobError("general", `${error.message}`, "set ORCHESJOB_HOME to another directory")
    : error;
}
