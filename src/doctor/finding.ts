/** The finding of one check of doctor, and helpers for its texts. */
import { OrchesjobError } from "../job/errors.ts";
import { SystemError } from "../linux/ffi/call.ts";

/** `warning`: nothing is broken, but a person should know. `problem`: something does not work, or soon will not. */
export type Verdict = "ok" | "warning" | "problem";

export interface Finding {
  readonly status: Verdict;
  readonly message: string;
  /** What a person can do. */
  readonly hint?: string;
  /** Fixes it; undefined if that is not possible or not safe. Returns what was done, e.g. `created logs/`. */
  readonly fix?: () => Promise<string> | string;
}

export const ok = (message: string): Finding => ({ status: "ok", message });
export const warning = (message: string, hint: string, fix?: Finding["fix"]): Finding => ({
  status: "warning",
  message,
  hint,
  ...(fix && { fix }),
});
export const problem = (message: string, hint: string, fix?: Finding["fix"]): Finding => ({
  status: "problem",
  message,
  hint,
  ...(fix && { fix }),
});

/** Turns whatever a check throws into its finding, so that one broken part does not hide the others. */
export function fromError(error: unknown): Finding {
  if (error instanceof OrchesjobError) return problem(error.what, error.hint ?? SEE);
  if (error instanceof SystemError) return problem(error.message, SEE);
  const words = error instanceof Error ? error.message : String(error);
  return problem(words.split("\n")[0]!, "look at the path by hand, as its owner");
}

const SEE = "see docs/troubleshooting.md";

export const SHOWN = 5;

/** The first SHOWN items, and how many more there are. `count`: the total, if `items` does not have all. */
export function listText(items: readonly string[], count = items.length): string {
  const rest = count - SHOWN;
  return items.slice(0, SHOWN).join(", ") + (rest > 0 ? `, and ${rest} more` : "");
}

/** `1 file belongs`, `2 files belong`. `one`, `more`: what follows the number. */
export function countText(count: number, one: string, more: string): string {
  return `${count} ${count === 1 ? one : more}`;
}
