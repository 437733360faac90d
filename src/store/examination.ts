/** What a look at a store's place finds, without changing anything there: for doctor, who must work where opening would fail. */
import type { OrchesjobError } from "../job/errors.ts";
import type { JobStore } from "./store.ts";

export interface Examination {
  /**
   * `missing`: nothing yet, or an empty file. `ours`: can be used as it is. `older`: the next command migrates it. `python`: the
   * next command upgrades it. `rebuilt`: an older program has taken it for its own, and `fix` puts it back. `newer`, `foreign`,
   * `unreadable`: cannot be used.
   */
  readonly kind: "missing" | "ours" | "older" | "python" | "rebuilt" | "newer" | "foreign" | "unreadable";
  /** Why it cannot be used as it is. */
  readonly error: OrchesjobError | undefined;
  /** The schema that it has, and the one that we know. */
  readonly schema: number;
  readonly knownSchema: number;
  /** What is damaged, in the store's own words; empty: nothing. */
  readonly damage: readonly string[];
  /** Whether indexes were compared with their tables as well, which takes long on a large store. */
  readonly thorough: boolean;
  readonly bytes: number;
  /** Bytes that were written and are not in their final place yet. */
  readonly pendingBytes: number;
  /** Opens one that is `ours`. */
  open(): JobStore;
  /**
   * Mends one that is `rebuilt`, from what is left of it; undefined where somebody has just done it. `isHeld`: whether a
   * job's worker lives for certain.
   */
  fix(
    isHeld: (jobId: string) => boolean,
  ): Promise<{ readonly jobs: number; readonly copy: string } | undefined>;
}
