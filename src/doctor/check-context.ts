/** What doctor's checks share: what can be looked at, found out once, and only when it is asked for. */
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

  /** `missing`: there is no such directory. `barred`: not ours to look into. */
  get access(): "missing" | "barred" | "ours" {
    try {
      const facts = statPath(this.home.path);
      if (facts === undefined) return "missing";
      return facts.kind === "directory" && facts.uid === libc.geteuid() ? "ours" : "barred";
    } catch {
      return "barred";
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

  /** To be called when something was mended: what was found before may be different now. */
  forget(): void {
    this.#examination = undefined;
  }

  /** The store, where it can be used as it is; otherwise the finding of those who would have looked into it. */
  async store(): Promise<JobStore | Finding> {
    const blocker = this.blocker();
    if (blocker !== undefined) return blocker;
    const examined = await this.examination();
    const { kind, damage } = examined;
    if (kind === "missing") return ok("there are no jobs yet");
    if (kind === "older" || kind === "python") return ok("not looked at before the database is upgraded");
    if (kind !== "ours" || damage.length > 0) return notLookedAt("the database cannot be used");
    return (this.#store ??= examined.open());
  }

  /** The finding of those who would look into the directory, where they cannot. */
  blocker(): Finding | undefined {
    if (this.access === "missing") return ok("there is no state directory yet");
    if (this.access === "barred") return notLookedAt("the state directory cannot be used");
    return undefined;
  }
}

export function isFinding(value: JobStore | Finding): value is Finding {
  return "status" in value;
}

export function notLookedAt(why: string): Finding {
  return warning(`not looked at: ${why}`, "fix that first: its own check says how");
}
