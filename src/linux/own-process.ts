/**
 * Starts processes of this program: workers, hook runners, copiers. Each is detached: it leads a session of its own, begins in
 * the root directory, has /dev/null as 0, 1 and 2, the default action for every signal, and only the descriptors given.
 *
 * Bun.spawn starts them. In two cases it cannot, and posix_spawn does:
 * - Our environment is not UTF-8, or an object would change it (a name that occurs twice, a number as a name). Bun.spawn could
 *   only pass it on unchanged. The child would then count as a process of the job that we belong to, and end with it, and a
 *   debugger's address (BUN_INSPECT) would stop its runtime.
 * - BUN_FEATURE_FLAG_NO_ORPHANS is set: with it Bun.spawn makes the kernel kill the child when we end, even if it is detached.
 */
import { callersLimits, keepCallersDirectory, openNothing, ownCommand } from "./caller.ts";
import { SystemError } from "./ffi/call.ts";
import { environmentForWorker, textForWorker, type Variables } from "./ffi/environment.ts";
import { closeFile } from "./file.ts";
import { spawnProcess, type SpawnRequest, withBlocked, withLimits } from "./spawn.ts";

/** This program, even if its file was moved or replaced meanwhile. */
const OWN_FILE = "/proc/self/exe";

export interface OwnProcess {
  /** The words of its command line, without the name of the program. */
  readonly words: readonly string[];
  /** The child's descriptors 3, 4, …; each number here must be above them all (see moveUp). */
  readonly descriptors?: readonly number[];
  /** Signals that wait until the child unblocks them (see unblock). */
  readonly blocked?: readonly number[];
  /** Variables to set in its environment, which is ours otherwise. */
  readonly variables: Variables;
}

/** Starts it; returns its pid. Throws SystemError. Afterwards our own directory may be the root. */
export function spawnOwn({ words, descriptors = [], blocked = [], variables }: OwnProcess): number {
  const nothing = openNothing();
  const request = {
    argv: [...ownCommand(), ...words],
    // Not `ignore`: with it Bun creates /dev/null if that is missing.
    descriptors: [nothing, nothing, nothing, ...descriptors],
    ...callersLimits(),
    // The runtime of the child raises it anyway, as ours did.
    fileLimit: undefined,
    blocked,
  };
  try {
    const env = textForWorker(variables);
    if (env !== undefined)
      return withLimits(request, () => withBlocked(blocked, () => spawnByBun(request, env)));
    keepCallersDirectory();
    const environment = environmentForWorker(variables);
    return spawnProcess({ ...request, file: OWN_FILE, directory: "/", environment });
  } finally {
    closeFile(nothing);
  }
}

function spawnByBun(
  { argv, descriptors }: Pick<SpawnRequest, "argv" | "descriptors">,
  env: Record<string, string>,
): number {
  try {
    const child = Bun.spawn([OWN_FILE, ...argv.slice(1)], {
      argv0: argv[0]!,
      cwd: "/",
      detached: true,
      env,
      stdio: descriptors as [number, number, number, ...number[]],
    });
    // Our event loop does not wait for its end.
    child.unref();
    return child.pid;
  } catch (error) {
    const { errno } = error as { errno?: unknown };
    if (typeof errno !== "number") throw error;
    // Bun's are negative.
    throw new SystemError(`cannot execute ${OWN_FILE}`, Math.abs(errno), "execute");
  }
}
