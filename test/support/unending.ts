/** Commands that orchesjob may not signal, though it runs as root: without CAP_KILL root may signal its own processes alone. */
import { chmodSync } from "node:fs";
import type { Sandbox } from "./sandbox.ts";

/** Words in front of orchesjob. */
export const WITHOUT_KILL = ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill"];

/** Words in front of its command. */
export const OUT_OF_REACH = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/** Lets such a command write in the sandbox's directory. */
export function openToAll(box: Sandbox): void {
  chmodSync(box.directory, 0o1777);
}
