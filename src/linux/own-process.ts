/**
 * Starts processes of this program: workers, hook runners, copiers. Each is detached: it leads a session of its own, begins in
 * the root directory, has /dev/null as 0, 1 and 2, every signal at its default, and only the descriptors given.
 *
 * Bun.spawn starts them. In two cases it cannot, and posix_spawn does:
 * - Our environment is not UTF-8, or has entries that an object would change (a name twice, a number as a name). Bun.spawn could
 *   pass it on only as it is. Then the child would name the job that we are a part of (and be ended with it), and a debugger's
 *   address (BUN_INSPECT) would stop its runtime.
 * - BUN_FEATURE_FLAG_NO_ORPHANS is set: Bun.spawn has the kernel kill the child when we end, `detached` or not.
 */
import { callersLimits, keepCallersDirectory, openNothing, ownCommand } from "./caller.ts";
import { SystemError } from "./ffi/call.ts";
import { environmentForWorker, textForWorker, type Variables } from "./ffi/environment.ts";
import { closeFile } from "./file.ts";
import { spawnProcess, type SpawnRequest, withBlocked, withLimits } from "./spawn.ts";

/** Ourselves, even where the file was moved or replaced meanwhile. */
const OWN_FILE = "/proc/self/exe";

export interface OwnProcess {
  /** Its command line behind the program's name. */
  readonly words: readonly string[];
  /** The child's descriptors 3, 4, …; each number here must be above them all (see moveUp). */
  readonly descriptors?: readonly number[];
  /** Signals that wait until the child unblocks them (see unblock). */
  readonly blocked?: readonly number[];
  /** Set in its environment; the rest is ours. */
  readonly variables: Variables;
}

/** Returns the pid. Throws SystemError. We may be in the root directory afterwards. */
export function spawnOwn({ words, descriptors = [], blocked = [], variables }: OwnProcess): number {
  const nothing = openNothing();
  const request = {
    argv: [...ownCommand(), ...words],
    // Not `ignore`: Bun would make a missing /dev/null.
    descriptors: [nothing, nothing, nothing, ...descriptors],
    ...callersLimits(),
    // The child's runtime raises it, as ours has.
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
