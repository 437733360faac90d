/** The first look: is everything all right, what runs, what failed and since when, is it longer than usual. */
import { hoursCard } from "../charts/hours-card.ts";
import { h, setText } from "../dom.ts";
import { atMostEvery, everySecond, listen } from "../live.ts";
import { mark, WORDS } from "../outcome.ts";
import {
  endedColumn,
  keyColumn,
  type Row,
  startedColumn,
  statusColumn,
  timeOf,
  tookColumn,
  wordsColumn,
} from "../parts/cells.ts";
import { isSlow } from "../parts/against.ts";
import { cardOf, tilesIn } from "../parts/cards.ts";
import type { Column } from "../parts/table.ts";
import { now, took } from "../parts/time.ts";
import { address } from "../route.ts";
import { announce, titleOf } from "../shell.ts";
import { ago, count, percent, plural, visible } from "../text.ts";
import type { Overview } from "../wire.ts";
import { type Data, load, loadActive, type Trouble } from "./overview-data.ts";

/** How often the running jobs and all of it are read without an event, in seconds. */
const LOOK = 5;
const AGING = 120;

const logColumn: Column<Row> = {
  name: "Log",
  text: ({ job }) => job.job_id,
  make: ({ job }) => [
    h(
      "a",
      {
        href: address(["jobs", job.job_id], { log: job.status === "FAILED" ? "stderr" : "stdout" }),
        "aria-label": `Log of ${visible(job.run_key)}`,
      },
      "Log",
    ),
  ],
};

const sinceColumn: Column<Trouble> = {
  name: "Since",
  kind: "nowrap",
  labelled: true,
  text: ({ since, inARow }) => `${ago(since, now())}${inARow}`,
  make: ({ since, inARow }) => [
    timeOf(new Date(since).toISOString(), ago(since, now())),
    inARow > 1 && h("span", { class: "under" }, `${count(inARow)} in a row`),
  ],
};

export async function showOverview(into: HTMLElement, _: unknown, signal: AbortSignal): Promise<string> {
  let data = await load(signal);
  const byId = ({ job }: Row) => job.job_id;
  const trouble = cardOf<Trouble>(
    "Failed, no success since",
    [statusColumn, keyColumn, sinceColumn, wordsColumn, tookColumn, logColumn],
    byId,
  );
  const active = cardOf(
    "Running",
    [keyColumn, { ...tookColumn, name: "For" }, wordsColumn, startedColumn, logColumn],
    byId,
  );
  const recovered = cardOf(
    "Failed in the last 24 hours, succeeded since",
    [statusColumn, keyColumn, endedColumn, wordsColumn, logColumn],
    byId,
  );
  const ended = cardOf("Ended last", [statusColumn, keyColumn, endedColumn, tookColumn, wordsColumn], byId);
  trouble.card.classList.add("alarm");
  const rest = h("a", { href: address(["jobs"], { status: ["FAILED", "LOST"], since: "24h" }) });
  const restLine = h("p", { class: "body" }, rest);
  trouble.card.append(restLine);
  const calm = h(
    "section",
    { class: "card calm" },
    h("span", { class: "outcome-SUCCEEDED" }, mark("SUCCEEDED")),
    h("p"),
  );
  const cut = h("p", { class: "note odd" });
  const tiles = h("dl", { class: "tiles" });
  const hours = hoursCard(signal, () => data.hours);
  into.append(
    h("h1", { class: "only-heard" }, "Overview"),
    calm,
    trouble.card,
    cut,
    tiles,
    active.card,
    hours.card,
    recovered.card,
    ended.card,
  );
  const tile = tilesIn(tiles);

  /** What changes with the time alone. */
  const tick = () => {
    trouble.show(data.failing);
    recovered.show(data.recovered);
    active.show(data.active);
    ended.show(data.ended);
    trouble.card.hidden = data.failingKeys === 0;
    const more = data.failingKeys - data.failing.length;
    restLine.hidden = more === 0;
    setText(rest, `${plural(more, "more key")}: all failures of 24 hours`);
    recovered.card.hidden = data.recovered.length === 0;
    calm.hidden = data.failingKeys > 0;
    cut.hidden = data.onlyNewest === null;
    setText(
      cut,
      `Only the newest ${count(data.onlyNewest ?? 0)} jobs of these 24 hours are read: failures before them are not listed here, and their hours are empty.`,
    );
    document.title = titleOf(data.failingKeys === 0 ? "" : `${count(data.failingKeys)} failing`);
    const { overview } = data;
    const slow = data.active.filter(({ job, usual }) => isSlow(took(job), usual)).length;
    const { last_24_hours: last, usual_24_hours: usual } = overview;
    const bad = last.failed + last.lost + data.unrecorded;
    setText(
      calm.lastElementChild!,
      overview.active + last.ended + overview.usual_days === 0
        ? "No jobs in the last four weeks."
        : slow + overview.stalled > 0 || data.onlyNewest !== null
          ? "No run key has failed in the last 24 hours without a success since."
          : "All is well: no run key has failed in the last 24 hours without a success since.",
    );
    tile(
      "Running",
      count(overview.active),
      [
        slow > 0
          ? `${count(slow)} longer than usual`
          : overview.active > 0
            ? "none longer than usual"
            : "no active job",
        overview.stalled > 0 ? `${count(overview.stalled)} stalled` : "",
      ]
        .filter(Boolean)
        .join(", "),
      "",
    );
    tile(
      "Failed in 24 hours",
      count(bad),
      compare(overview, `usually ${decimal(usual.failed + usual.lost)}`),
      bad > 0 ? "bad" : "",
    );
    tile(
      "Succeeded in 24 hours",
      last.success_rate === null ? "–" : percent(last.success_rate),
      compare(overview, usual.success_rate === null ? "" : `usually ${percent(usual.success_rate)}`),
      "",
    );
    tile("Ended in 24 hours", count(last.ended), compare(overview, `usually ${decimal(usual.ended)}`), "");
  };
  everySecond(signal, tick);
  const refresh = atMostEvery(2_000, signal, async () => {
    const before = data;
    data = await load(signal);
    tick();
    hours.draw();
    tellNews(before, data);
  });
  listen("/api/events", ["ready", "started", "ended"], signal, refresh);
  let seconds = 0;
  everySecond(signal, () => {
    seconds += 1;
    // What failed a day ago leaves the overview without an event.
    if (seconds % AGING === 0) refresh();
    else if (seconds % LOOK === 0 && data.active.length > 0)
      void loadActive(signal).then(
        (active) => (data = { ...data, ...active }),
        () => undefined,
      );
  });
  return data.failingKeys === 0 ? "" : `${count(data.failingKeys)} failing`;
}

/** Says what failed since the last look. */
function tellNews(before: Data, after: Data): void {
  const known = new Set(before.failing.map(({ job }) => job.job_id));
  const fresh = after.failing.filter(({ job }) => !known.has(job.job_id));
  if (fresh.length > 0)
    announce(
      fresh.map(({ job }) => `${visible(job.run_key)}: ${WORDS[job.status].toLowerCase()}`).join(", "),
    );
}

const compare = ({ usual_days }: Overview, words: string) => (usual_days === 0 ? "no history yet" : words);

const decimal = (value: number) => (value < 10 ? String(Number(value.toFixed(1))) : count(value));
