/** What the caller gave this process and orchesjob changes for itself: umask, limits, directory. The command gets it back. */
import { cstring, prctl } from "./ffi/call.ts";
import { libc } from "./ffi/libc.ts";
import { moveUp, openFile } from "./file.ts";
import { LEAST_FILE_SIZE, raiseSoftLimit, RLIMIT_FSIZE } from "./limits.ts";

const PR_SET_NAME = 15;

/** The caller's settings, for processes that act in its name: see SpawnRequest. */
export interface CallersLimits {
  readonly umask: number;
  /** Bytes; see setrlimit(2). */
  readonly fileSizeLimit: bigint;
}

let callers: CallersLimits | undefined;

/**
 * Call this once, before any file is created. It makes our own files private to the owner, and lifts the limit for file sizes:
 * that is meant for the target, and would one day be too small for the database. An import must not do it, because that would
 * change whoever imports us.
 */
export function setOwnLimits(): void {
  callers = { umask: libc.umask(0o077), fileSizeLimit: raiseSoftLimit(RLIMIT_FSIZE, LEAST_FILE_SIZE) };
}

/** What the caller had set before setOwnLimits. */
export function callersLimits(): CallersLimits {
  if (callers === undefined) throw new Error("the caller's limits are asked for before setOwnLimits");
  return callers;
}

/** Stays open: a second attempt must find it as well. */
let callersDirectory: number | undefined;

/** The directory that we were in at the first call. A process that may spawn a worker calls this before it changes its directory. */
export function keepCallersDirectory(): number {
  return (callersDirectory ??= moveUp(openFile(".", "directory")));
}

/** The first arguments with which /proc/self/exe becomes this program. */
export function ownCommand(): readonly string[] {
  return Bun.main.startsWith("/$bunfs/") ? ["orchesjob"] : [process.execPath, Bun.main];
}

/** Names this process: started as /proc/self/exe, it is "exe" to ps and top. */
export function nameProcess(): void {
  prctl(PR_SET_NAME, cstring("orchesjob"));
}

export function openNothing(): number {
  return moveUp(openFile("/dev/null", "both"));
}
