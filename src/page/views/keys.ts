/** All run keys: how each is doing. */
import { get } from "../api.ts";
import { h, setText } from "../dom.ts";
import { atMostEvery, everySecond, listen } from "../live.ts";
import { statusOf } from "../outcome.ts";
import { jobText, timeOf } from "../parts/cells.ts";
import { type Column, tableOf } from "../parts/table.ts";
import { now } from "../parts/time.ts";
import { address, jobAddress, keyAddress, type Route } from "../route.ts";
import { ago, count, duration, percent, plural, visible } from "../text.ts";
import type { KeyRow, Keys } from "../wire.ts";

const PORTION = 200;

const lastTime = ({ last }: KeyRow) => last.finished_ms ?? last.started_ms;

const COLUMNS: readonly Column<KeyRow>[] = [
  {
    name: "Run key",
    kind: "key",
    text: ({ run_key }) => run_key,
    make: ({ run_key }) => [h("a", { href: keyAddress(run_key) }, jobText(run_key))],
  },
  {
    name: "Newest run",
    text: ({ last }) => last.job_id + last.status,
    make: ({ last }) => [h("a", { href: jobAddress(last.job_id) }, statusOf(last.status))],
  },
  {
    name: "When",
    kind: "nowrap",
    text: (row) => ago(lastTime(row), now()),
    make: (row) => [timeOf(new Date(lastTime(row)).toISOString(), ago(lastTime(row), now()))],
  },
  { name: "Runs", kind: "number", labelled: true, text: ({ attempt_no }) => count(attempt_no) },
  {
    name: "Succeeded",
    kind: "number",
    labelled: true,
    text: ({ success_rate }) => (success_rate === null ? "–" : percent(success_rate)),
  },
  {
    name: "Median",
    kind: "number",
    labelled: true,
    text: ({ median_seconds }) => (median_seconds === null ? "–" : duration(median_seconds)),
  },
  {
    name: "95 % within",
    kind: "number",
    labelled: true,
    text: ({ p95_seconds }) => (p95_seconds === null ? "–" : duration(p95_seconds)),
  },
];

/** A text that sorts before all that begin with a prefix, and after nearly all others before them. */
function justBefore(prefix: string): string {
  const last = [...prefix].at(-1);
  if (last === undefined) return "";
  const code = last.codePointAt(0)! - 1;
  // The code of a surrogate is no character.
  const before = code >= 0xd800 && code <= 0xdfff ? 0xd7ff : code;
  return `${prefix.slice(0, -last.length)}${before < 1 ? "" : String.fromCodePoint(before, 0x10ffff)}`;
}

export async function showKeys(into: HTMLElement, { query }: Route, signal: AbortSignal): Promise<string> {
  const prefix = query.get("prefix") ?? "";
  let rows: readonly KeyRow[] = [];
  let next: string | null = null;
  const table = tableOf("Run keys", COLUMNS, ({ run_key }) => run_key);
  const said = h("p", { class: "soft", role: "status" });
  const more = h("button", { type: "button", onclick: () => void load(next) }, "Show more");
  const show = () => table.update(rows);
  const load = async (after: string | null) => {
    const parameters = new URLSearchParams({ limit: String(PORTION), after: after ?? justBefore(prefix) });
    const answer = await get<Keys>(`/api/keys?${parameters}`, signal);
    const found = answer.keys.filter(({ run_key }) => run_key.startsWith(prefix));
    rows = after === null ? found : [...rows, ...found];
    next = found.length < answer.keys.length ? null : answer.next;
    more.hidden = next === null;
    const which = prefix === "" ? "" : ` beginning with ${visible(prefix)}`;
    setText(
      said,
      rows.length === 0
        ? `No run keys${which}.`
        : `${plural(rows.length, "run key")}${which}${next === null ? "" : ", more below"}`,
    );
    show();
  };
  await load(null);
  into.append(
    h("div", { class: "head" }, h("h1", {}, "Run keys"), said),
    h("section", { class: "card" }, table.element),
    prefix === "" ? "" : h("p", {}, h("a", { href: address(["keys"]) }, "Show all")),
    h("p", {}, more),
  );
  everySecond(signal, show);
  const refresh = atMostEvery(2_000, signal, async () => {
    // Who has asked for more keeps it.
    if (rows.length <= PORTION) await load(null);
  });
  listen("/api/events", ["ready", "started", "ended"], signal, refresh);
  return "Run keys";
}
