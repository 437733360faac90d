/** Creates the state directory, and refuses to if jobs of a lost database still run. */
import { OrchesjobError } from "../job/errors.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { probeLock } from "../linux/file-lock.ts";
import { makeDirectory, syncDirectory } from "../linux/file.ts";
import { type FileStat, statPath } from "../linux/stat.ts";
import { checkDatabase, checkFolder, checkPlace, checkWay } from "./home.ts";
import { listLocks } from "./job-lock.ts";
import { type Home, HOOK_SUFFIX, KEEPER_SUFFIX, lockFilePath } from "./paths.ts";
import { look, OWN_DIRECTORY, SYSTEM_DIRECTORIES } from "./shared-directory.ts";

/**
 * Throws `conflict` if jobs still run whose database is gone or empty: nobody would find them, and they could run a second
 * time. If there is a database that does not know them, jobs/unknown-jobs.ts finds that out.
 */
export function refuseLostDatabase(home: Home): void {
  const isThere = () => (look(home.database)?.size ?? 0) > 0;
  if (isThere()) return;
  const running = listLocks(home.locks, 0)
    // Hooks and keepers run after the end of a job, so their locks do not count.
    .filter((name) => !name.endsWith(HOOK_SUFFIX) && !name.endsWith(KEEPER_SUFFIX))
    .filter((jobId) => probeLock(lockFilePath(home, jobId)) === "held");
  // Another start may have created the database and begun a job while we looked.
  if (running.length === 0 || isThere()) return;
  throw new OrchesjobError(
    "conflict",
    `${home.database} is ${look(home.database) === undefined ? "gone" : "empty"}, but jobs that it knew still run (${running.join(", ")})`,
    "put it back, or wait until they have ended, so that none runs twice",
  );
}

/** Creates what is missing of the directory, durably. Many processes may call this at once. */
export function createHome(home: Home): void {
  const facts = checkPlace(home) ?? makeHome(home);
  if (SYSTEM_DIRECTORIES.includes(home.path)) {
    throw new OrchesjobError(
      "conflict",
      `${home.path} is a directory of the system and cannot be a state directory`,
      OWN_DIRECTORY,
    );
  }
  checkDatabase(home, facts);
  for (const path of [home.logs, home.locks]) if (!checkFolder(home, path, facts)) makeDirectory(path);
}

function makeHome(home: Home): FileStat {
  checkWay(home);
  try {
    makeDirectories(home.path);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new OrchesjobError(
      "general",
      error.message,
      "set ORCHESJOB_HOME to a directory that you may write, e.g. ORCHESJOB_HOME=$HOME/.local/share/orchesjob",
    );
  }
  const facts = checkPlace(home);
  if (facts !== undefined) return facts;
  throw new OrchesjobError(
    "general",
    `the state directory ${home.path} is a symbolic link to nothing`,
    "remove it, or set ORCHESJOB_HOME to another path",
  );
}

function makeDirectories(path: string): void {
  if (statPath(path) !== undefined) return;
  const parent = parentOf(path);
  makeDirectories(parent);
  if (makeDirectory(path)) syncDirectory(parent);
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}
