/** How a command line names several jobs: run keys as words or options, job ids, or a filter of labels and statuses. */
import { OrchesjobError } from "../../job/errors.ts";
import { checkRunKey, type JobSelector } from "../../job/request.ts";
import { type JobStatus, STATUSES } from "../../job/status.ts";
import type { SeveralJobs } from "../../jobs/find-several.ts";
import { type Option, repeated, short } from "../command.ts";
import { jobIdOption, selectorOptions } from "./selectors.ts";
import { anyText, labels, oneOf, runKeyValue } from "./values.ts";

/** Throws `usage` for two values of one label: no job has both. */
function allLabels(given: readonly string[]): ReadonlyMap<string, string> {
  const wanted = labels(given);
  for (const text of given) {
    const name = text.slice(0, text.indexOf("="));
    const value = text.slice(name.length + 1);
    if (wanted.get(name) !== value)
      throw new OrchesjobError(
        "usage",
        `--label ${name} is given with ${JSON.stringify(value)} and ${JSON.stringify(wanted.get(name))}`,
        "a job has one value of each label",
      );
  }
  return wanted;
}

/** Which of several jobs are meant. */
export const filterOptions = {
  status: repeated(
    "--status",
    "STATUS",
    "Only jobs with this status",
    oneOf("--status", STATUSES, (text) => text.toUpperCase()),
  ),
  label: {
    flag: "--label",
    placeholder: "NAME=VALUE",
    help: "Only jobs with this label; of several, jobs that have all of them",
    repeatable: true,
    completes: "label",
    read: allLabels,
  } satisfies Option<ReadonlyMap<string, string>>,
};

export const severalOptions = {
  runKey: short("-k", repeated("--run-key", "KEY", "The newest job of this run key", runKeyValue)),
  jobId: repeated("--job-id", "ID", jobIdOption.help, anyText("job-id")),
  attempt: selectorOptions.attempt,
  ...filterOptions,
};

/** Whether the answer is one job, not an array. */
export function isOne({ named, filter }: SeveralJobs): boolean {
  return named.length === 1 && filter === undefined;
}

/** Throws `usage` if no job is named, or some by name and others by a filter. */
export function toSeveralJobs(
  options: {
    readonly attempt: number | undefined;
    readonly runKey: readonly string[];
    readonly jobId: readonly string[];
    readonly status: readonly JobStatus[];
    readonly label: ReadonlyMap<string, string>;
  },
  operands: readonly string[],
): SeveralJobs {
  const { status: statuses, label } = options;
  const named: JobSelector[] = [
    ...operands.map((word) => ({ word: checkRunKey(word) })),
    ...options.runKey.map((runKey) => ({ runKey })),
    ...options.jobId.map((jobId) => ({ jobId })),
  ];
  const isFiltered = statuses.length > 0 || label.size > 0;
  if (options.attempt !== undefined) {
    const [runKey, ...others] = [...operands, ...options.runKey];
    if (runKey === undefined || named.length > 1 || others.length > 0 || isFiltered)
      throw new OrchesjobError(
        "usage",
        "--attempt needs one run key",
        "of several, name earlier runs as KEY#N",
      );
    return { named: [{ runKey, attemptNo: options.attempt }], filter: undefined };
  }
  if (named.length > 0 && isFiltered)
    throw new OrchesjobError(
      "usage",
      `${label.size > 0 ? "--label" : "--status"} cannot be combined with a run key or a job id`,
      "name the jobs, or select them by label and status",
    );
  if (named.length === 0 && !isFiltered)
    throw new OrchesjobError(
      "usage",
      "--run-key KEY or --job-id ID is required",
      "or keys as words, or --label NAME=VALUE, or --status STATUS",
    );
  return { named, filter: isFiltered ? { statuses, labels: label } : undefined };
}
