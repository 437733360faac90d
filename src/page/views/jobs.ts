/** The jobs of all run keys, with the filters of `orchesjob list`. */
import { get } from "../api.ts";
import { h, setText } from "../dom.ts";
import { atMostEvery, everySecond, listen } from "../live.ts";
import { isActive, STATUSES, WORDS } from "../outcome.ts";
import {
  endedColumn,
  keyColumn,
  type Row,
  startedColumn,
  statusColumn,
  tookColumn,
  wordsColumn,
} from "../parts/cells.ts";
import { tableOf } from "../parts/table.ts";
import { address, type Route } from "../route.ts";
import { plural } from "../text.ts";
import type { Job } from "../wire.ts";

/** How often running jobs are read without an event, in seconds. */
const LOOK = 10;
const STEP = 100;
/** The server answers no more at once. */
const MOST = 1_000;
const SINCE = [
  ["", "any time"],
  ["1h", "the last hour"],
  ["24h", "the last 24 hours"],
  ["7d", "the last 7 days"],
  ["30d", "the last 30 days"],
] as const;

export async function showJobs(into: HTMLElement, { query }: Route, signal: AbortSignal): Promise<string> {
  let limit = STEP;
  let jobs: readonly Job[] = [];
  let asked = 0;
  let isCut = false;
  const chosen = new Set(query.getAll("status"));
  const input = (name: string, placeholder: string) =>
    h("input", {
      type: "search",
      value: query.get(name) ?? "",
      placeholder,
      spellcheck: "false",
      autocomplete: "off",
      oninput: () => changed(),
    });
  const prefix = input("prefix", "backup-");
  const label = input("label", "team=billing");
  const since: HTMLSelectElement = h(
    "select",
    { onchange: () => changed() },
    ...SINCE.map(([value, name]) =>
      h("option", { value, selected: value === (query.get("since") ?? "") }, name),
    ),
  );
  const boxes = STATUSES.map((status): HTMLInputElement =>
    h("input", { type: "checkbox", value: status, checked: chosen.has(status), onchange: () => changed() }),
  );
  const said = h("p", { class: "soft", role: "status" });
  const trouble = h("p", { class: "note bad", role: "alert", hidden: true });
  const table = tableOf<Row>(
    "Jobs",
    [statusColumn, keyColumn, startedColumn, tookColumn, endedColumn, wordsColumn],
    ({ job }) => job.job_id,
  );
  const more = h("button", { type: "button", onclick: () => ((limit += STEP), void load()) }, "Show more");

  const wanted = () => ({
    status: boxes.filter(({ checked }) => checked).map(({ value }) => value),
    prefix: prefix.value,
    label: label.value.trim(),
    since: since.value,
  });
  const show = () => table.update(jobs.map((job) => ({ job })));
  const load = async () => {
    const parameters = new URLSearchParams(
      address([], { ...wanted(), limit: String(limit + 1) }).split("?")[1],
    );
    try {
      const own = (asked += 1);
      const found = await get<readonly Job[]>(`/api/jobs?${parameters}`, signal);
      // Another filter was set meanwhile.
      if (own !== asked) return;
      jobs = found.slice(0, limit);
      isCut = found.length > limit;
      more.hidden = !isCut || limit + STEP >= MOST;
      trouble.hidden = true;
    } catch (error) {
      if (signal.aborted) return;
      trouble.hidden = false;
      setText(trouble, error instanceof Error ? error.message : String(error));
      return;
    }
    setText(
      said,
      jobs.length === 0 ? "No jobs match." : `${plural(jobs.length, "job")}${isCut ? ", the newest" : ""}`,
    );
    show();
  };
  const reload = atMostEvery(300, signal, load);
  const changed = () => {
    limit = STEP;
    history.replaceState(null, "", address(["jobs"], wanted()));
    reload();
  };

  into.append(
    h("div", { class: "head" }, h("h1", {}, "Jobs"), said),
    h(
      "form",
      {
        class: "toolbar",
        role: "search",
        "aria-label": "Filter",
        onsubmit: (event) => event.preventDefault(),
      },
      h(
        "fieldset",
        {},
        h("legend", { class: "only-heard" }, "Status"),
        ...STATUSES.map((status, index) => h("label", { class: "check" }, boxes[index]!, WORDS[status])),
      ),
      h("label", { class: "field" }, "Run key begins with", prefix),
      h("label", { class: "field" }, "Label", label),
      h("label", { class: "field" }, "Started within", since),
    ),
    trouble,
    h("section", { class: "card" }, table.element),
    h("p", {}, more),
  );
  await load();
  let seconds = 0;
  everySecond(signal, () => {
    seconds += 1;
    // Last lines and silence change without an event.
    if (seconds % LOOK === 0 && jobs.some(({ status }) => isActive(status))) void load();
    else show();
  });
  listen("/api/events", ["ready", "started", "ended"], signal, atMostEvery(1_000, signal, load));
  return "Jobs";
}
