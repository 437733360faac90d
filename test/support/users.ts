/** Ordinary users by number; they need no name and no home. */
import type { Finished, RunOptions, Sandbox } from "./sandbox.ts";
import { shell } from "./shell.ts";

/** The user `nobody`. */
export const NOBODY = 65_534;
/** A user without a name. */
export const STRANGER = 54_321;

/** Runs orchesjob as a user who cannot enter the folder it is in, through an open file descriptor. Needs root. */
export function runAs(
  uid: number,
  box: Sandbox,
  words: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const user = `setpriv --reuid ${uid} --regid ${uid} --clear-groups`;
  return shell(box, `exec 3<"$0"; exec ${user} /proc/self/fd/3 "$@"`, { ...options, words });
}
