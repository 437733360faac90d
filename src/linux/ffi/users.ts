/** Users and groups, wherever the system keeps them (a file, a directory service): getpwuid(3), getgrgid(3). */
import { CString, type Pointer, read } from "bun:ffi";
import { readTextIfAny } from "../file.ts";
import { libc } from "./libc.ts";

/** The name of a user; undefined if the number has none. */
export function userName(uid: number): string | undefined {
  const entry = libc.getpwuid(uid);
  // struct passwd begins with the name.
  return entry === null ? undefined : textAt(entry as Pointer, 0);
}

/** The home directory of a user; undefined if the number has none. */
export function homeDirectory(uid: number): string | undefined {
  const entry = libc.getpwuid(uid);
  // struct passwd: char *name; char *password; uid_t uid; gid_t gid; char *gecos; char *dir.
  return entry === null ? undefined : textAt(entry as Pointer, 32);
}

/**
 * Returns a member of a group who is neither root nor this user. Undefined if there is none, or if the group has no name: then
 * only those who start processes with its number are in it.
 */
export function strangerInGroup(
  gid: number,
  uid: number,
): { readonly group: string; readonly user: string } | undefined {
  const entry = libc.getgrgid(gid);
  if (entry === null) return undefined;
  // struct group: char *name; char *password; gid_t gid; char **members.
  const group = textAt(entry as Pointer, 0);
  const known = [userName(uid), "root"];
  const members = read.ptr(entry as Pointer, 24) as Pointer;
  for (let offset = 0; read.ptr(members, offset) !== 0; offset += 8) {
    const user = textAt(members, offset);
    if (!known.includes(user)) return { group, user };
  }
  // Users whose primary group it is need not be in its list. Look only at users of this machine: a directory service may have
  // thousands.
  for (const line of (readTextIfAny("/etc/passwd") ?? "").split("\n")) {
    const [user = "", , owner, first] = line.split(":");
    if (Number(first) === gid && owner !== "0" && Number(owner) !== uid) return { group, user };
  }
  return undefined;
}

function textAt(pointer: Pointer, offset: number): string {
  return String(new CString(read.ptr(pointer, offset) as Pointer));
}
