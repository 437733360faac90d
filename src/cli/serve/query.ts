/** Reads the query of an address, whose parameters have the names of the options of `list`. */
import { OrchesjobError } from "../../job/errors.ts";
import { checkRunKey } from "../../job/request.ts";
import { ACTIVE, STATUSES } from "../../job/status.ts";
import type { ListFilter } from "../../store/store.ts";
import { filterOptions } from "../options/several-jobs.ts";
import { readInstant } from "../options/time.ts";
import { wholeNumber } from "../options/values.ts";

const USUAL_LIMIT = 50;
const MOST_JOBS = 1000;

/** Refuses parameters that are not in the list, so that a mistyped filter does not show everything. Throws `usage`. */
export function allowOnly(query: URLSearchParams, names: readonly string[]): void {
  for (const name of query.keys())
    if (!names.includes(name))
      throw new OrchesjobError(
        "usage",
        `there is no parameter ${JSON.stringify(name)} here`,
        names.length === 0 ? "leave it out" : `there are: ${names.join(", ")}`,
      );
}

/** A parameter that may be given once. Throws `usage`. */
export function single(query: URLSearchParams, name: string): string | undefined {
  const given = query.getAll(name);
  if (given.length > 1)
    throw new OrchesjobError("usage", `${name} is given ${given.length} times`, "give it once");
  return given[0];
}

/** A whole number of at least `smallest`, at most `largest`. Throws `usage`. */
export function number(
  query: URLSearchParams,
  name: string,
  {
    smallest = 0,
    largest = Number.MAX_SAFE_INTEGER,
    otherwise,
  }: { smallest?: number; largest?: number; otherwise: number },
): number {
  const text = single(query, name);
  return text === undefined ? otherwise : Math.min(largest, wholeNumber(name, smallest)(text));
}

/** Whether a parameter is given, which can only be 1. Throws `usage`. */
export function flag(query: URLSearchParams, name: string): boolean {
  const text = single(query, name);
  if (text !== undefined && text !== "1")
    throw new OrchesjobError("usage", `${name} must be 1, not ${JSON.stringify(text)}`, "or leave it out");
  return text !== undefined;
}

export async function readFilter(query: URLSearchParams): Promise<ListFilter> {
  allowOnly(query, [
    "key",
    "prefix",
    "label",
    "status",
    "active",
    "since",
    "until",
    "limit",
    "before",
    "fleet",
  ]);
  const statuses = query.getAll("status").flatMap((text) => filterOptions.status.read([text]));
  const active = flag(query, "active");
  if (active && statuses.length > 0)
    throw new OrchesjobError("usage", "active and status cannot be combined", "give one of them");
  if (flag(query, "fleet") && query.has("before"))
    throw new OrchesjobError(
      "usage",
      "fleet and before cannot be combined",
      "narrow since and until instead",
    );
  const [key, before] = [single(query, "key"), single(query, "before")];
  return {
    statuses: !active ? statuses : STATUSES.filter((status) => ACTIVE.some((each) => each === status)),
    labels: filterOptions.label.read(query.getAll("label")),
    runKeyPrefix: single(query, "prefix") ?? "",
    ...(key === undefined ? {} : { runKey: checkRunKey(key) }),
    ...(before === undefined ? {} : { before: wholeNumber("before", 0)(before) }),
    since: await readInstant("since", single(query, "since")),
    until: await readInstant("until", single(query, "until")),
    limit: number(query, "limit", { smallest: 1, largest: MOST_JOBS, otherwise: USUAL_LIMIT }),
  };
}
