/** Starts the agent of a member, unless it runs. Its lock, a FIFO, shows that it lives, and hangs up when it dies. */
import { SystemError } from "../linux/ffi/call.ts";
import { probeLock } from "../linux/file-lock.ts";
import { spawnOwn } from "../linux/own-process.ts";
import {
  ANCESTORS_VARIABLE,
  HOOK_VARIABLE,
  JOB_ID_VARIABLE,
  RUN_KEY_VARIABLE,
  TOKEN_VARIABLE,
} from "../processes/variables.ts";
import { debug } from "../state/debug.ts";
import { type Home, memberFiles } from "../state/paths.ts";

/** Two agents at once do no harm: the second one finds the lock taken, and ends. */
export function ensureAgent(home: Home): void {
  if (probeLock(memberFiles(home).agent) === "held") return;
  try {
    const pid = spawnOwn({
      words: ["_agent"],
      // It belongs to no job, neither to the one whose command or hook we may belong to.
      variables: [
        ["ORCHESJOB_HOME", home.path],
        [JOB_ID_VARIABLE, ""],
        [TOKEN_VARIABLE, ""],
        [RUN_KEY_VARIABLE, ""],
        [HOOK_VARIABLE, ""],
        [ANCESTORS_VARIABLE, ""],
      ],
    });
    debug?.note(`spawned agent ${pid}`);
  } catch (error) {
    // Whoever needs it next tries again.
    if (!(error instanceof SystemError)) throw error;
    debug?.note("cannot start the agent", error);
  }
}
