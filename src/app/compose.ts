/** Builds the Context that commands get. Only this file and inspection.ts know which store there is. */
import type { Output } from "../cli/output/output.ts";
import { printDiagnostic } from "../cli/output/report.ts";
import type { Origin } from "../job/job.ts";
import { setOwnLimits } from "../linux/caller.ts";
import { isTerminal, readOrigin } from "../linux/self.ts";
import { isThere } from "../linux/stat.ts";
import type { Context } from "../state/context.ts";
import { createHome, refuseLostDatabase } from "../state/create-home.ts";
import { checkHome } from "../state/home.ts";
import type { Home } from "../state/paths.ts";
import type { Fleet } from "../store/fleet.ts";
import { openSqliteStore } from "../store/sqlite/sqlite-store.ts";
import type { Inspection } from "./inspection.ts";
import { VERSION } from "./version.ts";

export interface Parts {
  readonly home: Home;
  /** How long to wait for the database, in ms. */
  readonly busyTimeoutMs: number;
  /** Also open a database that a newer version has migrated. */
  readonly acceptNewer?: boolean;
  /** Migrate an older database. */
  readonly upgrades?: boolean;
  readonly diagnostics: Output;
  /** Finds the state directory if somebody has moved it since. */
  readonly locateHome?: () => Home | undefined;
  /** Without it, the store cannot be examined and has no statistics. */
  readonly inspection?: Inspection | undefined;
}

export function composeContext({
  home,
  busyTimeoutMs,
  acceptNewer = false,
  upgrades = true,
  diagnostics,
  locateHome,
  inspection,
}: Parts): Context {
  setOwnLimits();
  const notify = (message: string) => printDiagnostic(diagnostics.descriptor, message);
  const progress = (message: string) => {
    if (isTerminal(diagnostics.descriptor)) notify(message);
  };
  const open = (create: boolean, { database } = home) =>
    openSqliteStore(database, { create, busyTimeoutMs, acceptNewer, upgrades, notify, progress }, inspection);
  let origin: Origin | undefined;
  let fleet: Promise<Fleet> | undefined;
  return {
    home,
    // Lazy: it reads three files of /proc, which commands about finished jobs do not need.
    get origin() {
      return (origin ??= readOrigin());
    },
    openStore() {
      if (!checkHome(home)) {
        const moved = locateHome?.();
        return moved && checkHome(moved) ? open(false, moved) : undefined;
      }
      const store = open(false);
      // A detached process (acceptNewer) may go on: it only records results, and never answers that there are no jobs.
      if (store === undefined && !acceptNewer) refuseLostDatabase(home);
      return store;
    },
    createStore() {
      createHome(home);
      refuseLostDatabase(home);
      return open(true)!;
    },
    async openReadOnly() {
      if (!checkHome(home)) return undefined;
      const { openReadOnly } = await inspection!.readOnly();
      return openReadOnly(home.database, busyTimeoutMs, inspection!);
    },
    openFleet() {
      return isThere(home.fleet) ? (fleet ??= openFleet(home, this.origin)) : undefined;
    },
    async examineStore() {
      const { examineDatabase } = await inspection!.examine();
      return examineDatabase(home.database, busyTimeoutMs, { notify, progress }, () => open(false)!);
    },
    async isOldCopy(path) {
      const { looksLikePython } = await inspection!.examine();
      return looksLikePython(path);
    },
    stderr: diagnostics.descriptor,
    notify,
    progress,
  };
}

async function openFleet(home: Home, origin: Origin): Promise<Fleet> {
  const { FleetMember } = await import("../fleet/member.ts");
  return new FleetMember(home, origin, VERSION);
}
