/** The option `--fields`. */
import { optional } from "../command.ts";
import { anyText } from "./values.ts";

export const fieldsOption = optional(
  "--fields",
  "NAMES",
  "Only these fields, in this order, with commas between them; took is the time from start to end",
  anyText("field"),
);

/** Loads what knows the fields only if some are named. Throws `usage`. */
export async function chooseFields(names: string | undefined): Promise<readonly string[] | undefined> {
  if (names === undefined) return undefined;
  const { readFields } = await import("../output/job-lines.ts");
  return readFields(names);
}
