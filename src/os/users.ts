/** Users by name, wherever the system keeps them (a file, a directory service): getpwuid(3). */
import { CString, type Pointer, read } from "bun:ffi";
import { libc } from "./libc.ts";

/** Undefined where the number has no name. */
export function userName(uid: number): string | undefined {
  const entry = libc.getpwuid(uid);
  // struct passwd begins with the name.
  return entry === null ? undefined : String(new CString(read.ptr(entry, 0) as Pointer));
}
