/** What may follow in the value of `--fields`. */
import type { Suggestion } from "../../jobs/suggest.ts";
import { describeField } from "../answers/job.ts";
import { FIELD_NAMES } from "../output/job-lines.ts";

/** `typed`: names with commas between them, the last one perhaps incomplete. */
export function suggestFields(typed: string): readonly Suggestion[] {
  const begin = typed.lastIndexOf(",") + 1;
  const given = typed.slice(0, begin);
  const free = FIELD_NAMES.filter((name) => !given.split(",").includes(name));
  return free
    .filter((name) => name.startsWith(typed.slice(begin)))
    .map((name) => ({ value: given + name, remark: describeField(name) ?? "Seconds from start to end" }));
}
