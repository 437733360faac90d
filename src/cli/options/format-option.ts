/** The option `--format`, and the variable that stands for it. */
import { type Option, optional } from "../command.ts";
import { oneOf } from "./values.ts";

const FORMATS = ["json", "table"] as const;
export type Format = (typeof FORMATS)[number];

/** Formats of jobs. */
const JOB_FORMATS = [...FORMATS, "jsonl", "csv"] as const;
export type JobFormat = (typeof JOB_FORMATS)[number];

/** The format to use if a command line names none. */
const FORMAT_VARIABLE = "ORCHESJOB_FORMAT";
const readVariable = oneOf(FORMAT_VARIABLE, FORMATS);

function declare<T extends string>(formats: readonly T[], help: string): Option<T | undefined> {
  const option = optional("--format", "FORMAT", help, oneOf("--format", formats));
  return {
    ...option,
    read(given) {
      const format = option.read(given);
      // Refused before anything is done.
      if (format === undefined) formatOfVariable();
      return format;
    },
  };
}

/** Throws `usage`. */
function formatOfVariable(): Format | undefined {
  const text = process.env[FORMAT_VARIABLE];
  return text === undefined || text === "" ? undefined : readVariable(text);
}

/** What was asked for, by the option or by the variable; otherwise `usual`. */
export function chooseFormat<T>(given: T | undefined, usual: T | Format): T | Format {
  return given ?? formatOfVariable() ?? usual;
}

export const formatOption = declare(FORMATS, "Output format (default: json); table is for people");
export const jobFormatOption = declare(
  JOB_FORMATS,
  "Output format (default: json); table is for people, jsonl has a line for each job, csv has a head line",
);
export const listFormatOption = declare(
  JOB_FORMATS,
  "Output format (default: table on a terminal, json elsewhere); jsonl has a line for each job, csv has a head line",
);
