/** Commands that orchesjob may not signal, though it runs as root: without CAP_KILL root may signal its own processes alone. */
import { chmodSync, closeSync, openSync } from "node:fs";
import type { Sandbox } from "./sandbox.ts";
import { witnessFiles } from "./witness.ts";

/** Words in front of orchesjob. */
export const WITHOUT_KILL = ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill"];

/** Words in front of its command. */
export const OUT_OF_REACH = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/**
 * Lets such commands of these run keys write in the sandbox's directory. What they share with commands of ours is made here:
 * in a sticky directory the kernel lets nobody create what is there already and somebody else's (fs.protected_regular), but
 * for what is the directory's owner's.
 */
export function openToAll(box: Sandbox, runKeys: readonly string[]): void {
  chmodSync(box.directory, 0o1777);
  for (const path of runKeys.flatMap((runKey) => witnessFiles(box, runKey))) {
    closeSync(openSync(path, "a"));
    chmodSync(path, 0o666);
  }
}
