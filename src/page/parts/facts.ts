/** All fields of a job, in groups, with the names that they have in JSON and in the documentation. */
import { type Child, h } from "../dom.ts";
import { jobAddress, keyAddress } from "../route.ts";
import { bytes, commandLine, count, duration, full } from "../text.ts";
import { jobText, timeOf } from "./cells.ts";
import { at } from "./time.ts";

const GROUPS: readonly (readonly [title: string, fields: RegExp])[] = [
  [
    "Identity",
    /^(run_key|job_id|attempt_no|request_id|labels|host|fencing_token|pid|worker_pid|target_pid)$/,
  ],
  [
    "Result",
    /^(status|exit_code|signal|error|failure|lost_reason|cancel_reason|orphan_.*|started_at|finished_at.*)$/,
  ],
  [
    "Command",
    /^(command|cwd|env_files|stdin_file|stdout_file|stderr_file|output.*|last_line|quiet_seconds)$/,
  ],
  ["Usage", /^(cpu_seconds|max_rss_bytes|io_.*_bytes)$/],
  [
    "Limits",
    /^(timeout_seconds|grace_seconds|stall.*|on_stall.*|properties|unit|.*nice.*|io_class|.*log_limit.*|max_log_bytes)$/,
  ],
  ["Retries and reruns", /^(retr.*|rerun_.*)$/],
  ["Hooks", /^(on_exit.*|on_failure.*)$/],
  ["Fleet", /^(member|as_of|silent_seconds|on_partition)$/],
];
const OTHER = "Other";

/** Whether a field says something. */
const isSaid = (value: unknown) =>
  value !== null &&
  value !== undefined &&
  !(Array.isArray(value) && value.length === 0) &&
  !isEmptyObject(value);

const isEmptyObject = (value: unknown) =>
  typeof value === "object" && value !== null && Object.keys(value).length === 0;

export function factsOf(job: Readonly<Record<string, unknown>>, withEmpty: boolean): HTMLElement {
  const groups = new Map<string, HTMLElement[]>([
    ...GROUPS.map(([title]): [string, HTMLElement[]] => [title, []]),
    [OTHER, []],
  ]);
  for (const [name, value] of Object.entries(job)) {
    if (!withEmpty && !isSaid(value)) continue;
    const [title] = GROUPS.find(([, fields]) => fields.test(name)) ?? [OTHER];
    groups.get(title)!.push(h("dt", { class: "mono" }, name), h("dd", {}, ...show(name, value)));
  }
  return h(
    "div",
    { class: "facts" },
    ...[...groups]
      .filter(([, facts]) => facts.length > 0)
      .map(([title, facts]) => h("section", {}, h("h3", {}, title), h("dl", {}, ...facts))),
  );
}

/** Shows other facts in the place of those that are shown. What is equal stays, with what is selected in it. */
export function replaceFacts(place: Element, next: HTMLElement): void {
  const shown = [...place.querySelectorAll("dt, dd")];
  const wanted = [...next.querySelectorAll("dt, dd")];
  const isSameList =
    shown.length === wanted.length &&
    wanted.every((one, index) => one.tagName === "DD" || one.textContent === shown[index]!.textContent);
  if (!isSameList) return place.replaceChildren(next);
  for (const [index, one] of wanted.entries())
    if (!one.isEqualNode(shown[index]!)) shown[index]!.replaceWith(one);
}

function show(name: string, value: unknown): readonly Child[] {
  if (value === null || value === undefined) return [h("span", { class: "soft" }, "–")];
  if (typeof value === "boolean") return [value ? "yes" : "no"];
  if (typeof value === "number") {
    if (name.endsWith("_seconds")) return [duration(value)];
    if (name.endsWith("_bytes")) return [bytes(value)];
    // A pid and a token are names, not amounts.
    return [/pid|token|code/.test(name) ? String(value) : count(value)];
  }
  if (typeof value === "string") {
    if (/(_at|_since|_of)$/.test(name) && !Number.isNaN(Date.parse(value)))
      return [timeOf(value, full(at(value)))];
    if (name !== "job_id" && name.endsWith("job_id"))
      return [h("a", { href: jobAddress(value) }, jobText(value, "mono"))];
    if (name === "run_key") return [h("a", { href: keyAddress(value) }, jobText(value))];
    return [jobText(value, /file|_id|cwd|line/.test(name) ? "mono" : "")];
  }
  if (Array.isArray(value)) {
    if (name === "command") return [jobText(commandLine(value.map(String)), "mono")];
    return value.length === 0
      ? ["none"]
      : value.flatMap((item, index) => [index > 0 && ", ", jobText(String(item))]);
  }
  const entries = Object.entries(value);
  return entries.length === 0
    ? ["none"]
    : entries.flatMap(([key, item], index) => [index > 0 && ", ", jobText(`${key}=${String(item)}`)]);
}
