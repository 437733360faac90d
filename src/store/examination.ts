/** What an examination of the store finds, without changing anything: for doctor, which must work where opening would fail. */
import type { OrchesjobError } from "../job/errors.ts";
import type { JobStore } from "./store.ts";

export interface Examination {
  /**
   * `missing`: there is none yet, or an empty file. `ours`: can be used as it is. `older`: the next command migrates it.
   * `python`: the next command upgrades it. `rebuilt`: an older program has rebuilt it as its own, and `fix` repairs it.
   * `newer`, `foreign`, `unreadable`: cannot be used.
   */
  readonly kind: "missing" | "ours" | "older" | "python" | "rebuilt" | "newer" | "foreign" | "unreadable";
  /** Why it cannot be used as it is. */
  readonly error: OrchesjobError | undefined;
  /** The schema that it has, and the one that this program knows. */
  readonly schema: number;
  readonly knownSchema: number;
  /** The damage, in the store's own words; empty if there is none. */
  readonly damage: readonly string[];
  /** Whether indexes were compared with their tables, too, which takes long on a large store. */
  readonly thorough: boolean;
  readonly bytes: number;
  /** Bytes that were written but are not in their final place yet. */
  readonly pendingBytes: number;
  /** Opens the store if it is `ours`. */
  open(): JobStore;
  /**
   * Repairs a store that is `rebuilt`, from what is left of it; undefined if another process has just done it. `isHeld`:
   * whether a job's worker lives for certain.
   */
  fix(
    isHeld: (jobId: string) => boolean,
  ): Promise<{ readonly jobs: number; readonly copy: string } | undefined>;
}
