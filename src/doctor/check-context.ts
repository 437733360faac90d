/** What the checks of doctor share: whether directory and database can be examined. Each is examined once, when first needed. */
import { libc } from "../linux/ffi/libc.ts";
import { statPath } from "../linux/stat.ts";
import type { Context } from "../state/context.ts";
import { notAFile } from "../state/home.ts";
import type { Home } from "../state/paths.ts";
import type { Examination } from "../store/examination.ts";
import type { JobStore } from "../store/store.ts";
import { type Finding, ok, warning } from "./finding.ts";

export class CheckContext {
  #examination: Promise<Examination> | undefined;
  #store: JobStore | undefined;

  constructor(readonly context: Context) {}

  get home(): Home {
    return this.context.home;
  }

  /** `missing`: there is no such directory. `denied`: it belongs to another user, is no directory, or cannot be read. */
  get access(): "missing" | "denied" | "ours" {
    try {
      const facts = statPath(this.home.path);
      if (facts === undefined) return "missing";
      return facts.kind === "directory" && facts.uid === libc.geteuid() ? "ours" : "denied";
    } catch {
      return "denied";
    }
  }

  examination(): Promise<Examination> {
    return (this.#examination ??= this.#examine());
  }

  async #examine(): Promise<Examination> {
    const facts = statPath(this.home.database);
    if (facts === undefined || facts.kind === "file") return this.context.examineStore();
    const error = notAFile(this.home.database);
    const open = () => {
      throw error;
    };
    const nothing = { schema: 0, knownSchema: 0, damage: [], thorough: false, bytes: 0, pendingBytes: 0 };
    return { ...nothing, kind: "unreadable", error, open, fix: open };
  }

  /** Discards what was examined, because a fix has changed something. */
  invalidate(): void {
    this.#examination = undefined;
  }

  /** The store; if it cannot be used, the finding for checks that need it. */
  async store(): Promise<JobStore | Finding> {
    const blocker = this.blocker();
    if (blocker !== undefined) return blocker;
    const examined = await this.examination();
    const { kind, damage } = examined;
    if (kind === "missing") return ok("there are no jobs yet");
    if (kind === "older" || kind === "python") return ok("skipped until the database is upgraded");
    if (kind !== "ours" || damage.length > 0) return skipped("the database cannot be used");
    return (this.#store ??= examined.open());
  }

  /** The finding for checks that need the state directory, if it cannot be used; undefined if it can. */
  blocker(): Finding | undefined {
    if (this.access === "missing") return ok("there is no state directory yet");
    if (this.access === "denied") return skipped("the state directory cannot be used");
    return undefined;
  }
}

export function isFinding(value: JobStore | Finding): value is Finding {
  return "status" in value;
}

export function skipped(why: string): Finding {
  return warning(`skipped: ${why}`, "fix that first: its own check says how");
}
