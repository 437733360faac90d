/** How callers name jobs: run keys and job ids, and their limits. */
import { hasControlCharacter } from "./control-characters.ts";
import { OrchesjobError } from "./errors.ts";

/** A job by its id, or the newest one of a run key, or the one with this number among those of the key. */
export type NamedJob =
  { readonly jobId: string } | { readonly runKey: string; readonly attemptNo?: number | undefined };

/** A job as callers name it; `word`: a word that stands for a run key, KEY#N or a job id. findJob finds out for which. */
export type JobSelector = NamedJob | { readonly word: string };

const MAX_RUN_KEY_BYTES = 1024;
const encoder = new TextEncoder();

/** Length in UTF-8. Does not use Buffer, because loading it takes 200,000 instructions. */
export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

const JOB_ID = /^[0-9A-Za-z][0-9A-Za-z._-]{0,127}$/;

/** Returns the run key as it is, or throws `usage`. */
export function checkRunKey(runKey: string): string {
  if (runKey === "")
    throw new OrchesjobError("usage", "the run key is empty", "give a name: --run-key nightly-backup");
  const bytes = byteLength(runKey);
  if (bytes > MAX_RUN_KEY_BYTES) {
    throw new OrchesjobError(
      "usage",
      `the run key has ${bytes} bytes`,
      `at most ${MAX_RUN_KEY_BYTES} are allowed`,
    );
  }
  if (hasControlCharacter(runKey)) {
    throw new OrchesjobError(
      "usage",
      `the run key ${JSON.stringify(runKey)} contains a control character`,
      "remove it",
    );
  }
  return runKey;
}

/** The least length of a word that may be the beginning of a job id. A shorter one is a mistyped run key. */
const SHORTEST_ID_WORD = 8;

/** What a word may name, in the order in which it is looked up: a run key goes before all others. */
export function meaningsOf(word: string): readonly NamedJob[] {
  const [, runKey, number] = /^(.+)#([1-9]\d{0,8})$/s.exec(word) ?? [];
  return [
    { runKey: word },
    ...(runKey === undefined ? [] : [{ runKey, attemptNo: Number(number) }]),
    ...(word.length >= SHORTEST_ID_WORD && isJobId(word) ? [{ jobId: word }] : []),
  ];
}

/** Whether a text can be a job id. Ids become file names, so nothing else may reach the disk. */
export function isJobId(text: string): boolean {
  return JOB_ID.test(text);
}
