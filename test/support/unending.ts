/**
 * Commands that orchesjob may not signal although it runs as root: without CAP_KILL root may signal only its own
 * processes.
 */
import { chmodSync, closeSync, openSync } from "node:fs";
import type { Sandbox } from "./sandbox.ts";
import { witnessFiles } from "./witness.ts";

/** Words in front of orchesjob that take CAP_KILL away. */
export const WITHOUT_KILL = ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill"];

/** Words in front of its command that run it as another user. */
export const OUT_OF_REACH = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/**
 * Lets such commands of these run keys write in the sandbox's directory. Creates the files they share with other
 * commands here: in a sticky directory the kernel lets a process open with O_CREAT another user's file only if it
 * belongs to the directory's owner (fs.protected_regular).
 */
export function openToAll(box: Sandbox, runKeys: readonly string[]): void {
  chmodSync(box.directory, 0o1777);
  for (const path of runKeys.flatMap((runKey) => witnessFiles(box, runKey))) {
    closeSync(openSync(path, "a"));
    chmodSync(path, 0o666);
  }
}
