/** The composition root's hand: builds what every use case is given, and alone knows which store there is. */
import type { Output } from "../cli/output/output.ts";
import { tell } from "../cli/output/report.ts";
import type { Origin } from "../job/job.ts";
import { setOwnLimits } from "../linux/caller.ts";
import { isTerminal, readOrigin } from "../linux/self.ts";
import type { Context } from "../state/context.ts";
import { createHome, refuseLostDatabase } from "../state/create-home.ts";
import { checkHome } from "../state/home.ts";
import type { Home } from "../state/paths.ts";
import { openSqliteStore } from "../store/sqlite/sqlite-store.ts";

export interface Parts {
  readonly home: Home;
  /** How long to wait for the database, in ms. */
  readonly busyTimeoutMs: number;
  /** Go on where a newer version has migrated the database. */
  readonly acceptNewer?: boolean;
  /** Migrate an older one. */
  readonly upgrades?: boolean;
  readonly diagnostics: Output;
  /** Where the state directory is now, should it not be where it was: somebody may have moved it. */
  readonly locateHome?: () => Home | undefined;
}

export function composeContext({
  home,
  busyTimeoutMs,
  acceptNewer = false,
  upgrades = true,
  diagnostics,
  locateHome,
}: Parts): Context {
  setOwnLimits();
  const notify = (message: string) => tell(diagnostics.descriptor, message);
  const progress = (message: string) => {
    if (isTerminal(diagnostics.descriptor)) notify(message);
  };
  const open = (create: boolean, { database } = home) =>
    openSqliteStore(database, { create, busyTimeoutMs, acceptNewer, upgrades, notify, progress });
  let origin: Origin | undefined;
  return {
    home,
    // Three files of /proc that a look at a finished job does not need.
    get origin() {
      return (origin ??= readOrigin());
    },
    openStore() {
      if (!checkHome(home)) {
        const moved = locateHome?.();
        return moved && checkHome(moved) ? open(false, moved) : undefined;
      }
      const store = open(false);
      // A worker, which accepts a newer store, has only a result to record, and nobody is told a falsehood by that.
      if (store === undefined && !acceptNewer) refuseLostDatabase(home);
      return store;
    },
    createStore() {
      createHome(home);
      refuseLostDatabase(home);
      return open(true)!;
    },
    async examineStore() {
      const { examineDatabase } = await import("../store/sqlite/examine.ts");
      return examineDatabase(home.database, busyTimeoutMs, { notify, progress }, () => open(false)!);
    },
    async isOldCopy(path) {
      const { looksLikePython } = await import("../store/sqlite/examine.ts");
      return looksLikePython(path);
    },
    stderr: diagnostics.descriptor,
    notify,
    progress,
  };
}
