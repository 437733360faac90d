/** How a command line names a job: its run key as a word or as --run-key, an earlier run as KEY#N or with --attempt, or its id. */
import { OrchesjobError } from "../../job/errors.ts";
import { checkRunKey, type JobSelector } from "../../job/request.ts";
import { shellWord } from "../../job/shell-word.ts";
import { optional, short } from "../command.ts";
import { anyText, runKeyValue, wholeNumber } from "./values.ts";

export const jobIdOption = optional(
  "--job-id",
  "ID",
  "The job with this id; its first characters (at least 4) are enough if they are unique",
  anyText("job-id"),
);

export const selectorOptions = {
  runKey: short("-k", optional("--run-key", "KEY", "The newest job of this run key", runKeyValue)),
  jobId: jobIdOption,
  attempt: optional(
    "--attempt",
    "N",
    "With a run key: its job number N instead of the newest; KEY#N as a word is the same",
    wholeNumber("--attempt", 1),
  ),
};

/** For a command that is about one job: its run key may be a word. */
export const keyOperand = { operands: "[KEY]", isInterleaved: true, operandCompletes: "run-key" } as const;
/** For a command that is about several jobs. */
export const keyOperands = { ...keyOperand, operands: "[KEY...]" } as const;

interface Selection {
  readonly runKey: string | undefined;
  readonly jobId: string | undefined;
  readonly attempt: number | undefined;
}

/** Throws `usage` unless exactly one job is named. */
export function toSelector(options: Selection, operands: readonly string[]): JobSelector {
  const { jobId, attempt } = options;
  if (operands.length === 0 && options.runKey === undefined && jobId === undefined)
    throw new OrchesjobError("usage", "--run-key KEY or --job-id ID is required", "or the key as a word");
  if (jobId === undefined) {
    // With --attempt, the word is the whole key, whatever is in it.
    if (attempt !== undefined) return { runKey: toRunKey(options, operands), attemptNo: attempt };
    if (operands.length === 0) return { runKey: options.runKey! };
    return { word: toRunKey(options, operands) };
  }
  if (attempt !== undefined)
    throw new OrchesjobError("usage", "--attempt needs a run key", `--job-id ${shellWord(jobId)} is one job`);
  if (operands.length > 0) throw twice(operands[0]!, `--job-id ${shellWord(jobId)}`);
  if (options.runKey !== undefined)
    throw new OrchesjobError("usage", "give either --run-key KEY or --job-id ID, not both");
  return { jobId };
}

/** The run key of a command line, as a word or an option. Throws `usage` unless there is exactly one. */
export function toRunKey(options: Pick<Selection, "runKey">, operands: readonly string[]): string {
  const { runKey } = options;
  const [word, another] = operands;
  if (word === undefined) {
    if (runKey !== undefined) return runKey;
    throw new OrchesjobError("usage", "--run-key KEY is required", "or the key as a word");
  }
  if (runKey !== undefined) throw twice(word, `--run-key ${shellWord(runKey)}`);
  if (another === undefined) return checkRunKey(word);
  throw new OrchesjobError(
    "usage",
    `give one run key, not ${JSON.stringify(word)} and ${JSON.stringify(another)}`,
    "quote a key that has blanks",
  );
}

function twice(word: string, option: string): OrchesjobError {
  return new OrchesjobError(
    "usage",
    `give either the word ${JSON.stringify(word)} or ${option}, not both`,
    "a run key may be a word or an option",
  );
}
