/** A run key: how long its runs take, how they end, and what is usual. */
import { get, getKey } from "../api.ts";
import { calendar } from "../charts/calendar.ts";
import { durationsChart, durationsLegend } from "../charts/durations.ts";
import { drawSized } from "../charts/sized.ts";
import { h, setText } from "../dom.ts";
import { atMostEvery, everySecond, listen } from "../live.ts";
import { isActive, statusOf } from "../outcome.ts";
import { cardOf, tilesIn } from "../parts/cards.ts";
import {
  jobText,
  type Row,
  startedColumn,
  statusColumn,
  plainTookColumn,
  wordsColumn,
} from "../parts/cells.ts";
import { sentenceOf } from "../parts/sentences.ts";
import { tableOf } from "../parts/table.ts";
import { tookOf } from "../parts/time.ts";
import { address, jobAddress, type Route } from "../route.ts";
import { announce } from "../shell.ts";
import { count, duration, full, percent, visible } from "../text.ts";
import type { Job, Run } from "../wire.ts";

const JOBS = 50;

export async function showKey(into: HTMLElement, { path }: Route, signal: AbortSignal): Promise<string> {
  const runKey = path[1]!;
  const load = async () => {
    const [key, jobs] = await Promise.all([
      getKey(runKey, signal),
      get<readonly Job[]>(`/api/jobs?${new URLSearchParams({ key: runKey, limit: String(JOBS) })}`, signal),
    ]);
    return { key, jobs };
  };
  let data = await load();
  const state = h("p");
  const status = h("span");
  const tiles = h("dl", { class: "tiles" });
  const chart = h("div");
  const legend = h("div");
  const days = h("div", { class: "body" });
  const all = tableOf<Run>(
    "Durations",
    [
      {
        name: "Started",
        kind: "nowrap",
        text: ({ started_ms }) => full(started_ms),
        make: (run) => [h("a", { href: jobAddress(run.job_id) }, full(run.started_ms))],
      },
      { name: "Status", text: ({ status }) => status, make: ({ status }) => [statusOf(status)] },
      { name: "Took", kind: "number", text: (run) => duration(tookOf(run)) },
    ],
    ({ job_id }) => job_id,
  );
  const jobs = cardOf<Row>(
    "Newest runs",
    [statusColumn, startedColumn, plainTookColumn, wordsColumn],
    ({ job }) => job.job_id,
  );
  into.append(
    h(
      "div",
      {},
      h("p", { class: "soft small" }, h("a", { href: address(["keys"]) }, "Run keys")),
      h("div", { class: "head" }, h("h1", {}, jobText(runKey)), status),
      state,
    ),
    tiles,
    h(
      "div",
      { class: "beside" },
      h(
        "section",
        { class: "card" },
        h("header", {}, h("h2", {}, "Durations")),
        h(
          "div",
          { class: "body" },
          chart,
          legend,
          h("details", {}, h("summary", {}, "Show as a table"), all.element),
        ),
      ),
      h("section", { class: "card" }, h("header", {}, h("h2", {}, "The last weeks")), days),
    ),
    jobs.card,
  );
  const tile = tilesIn(tiles);
  const tick = () => {
    const { job, usual } = data.key;
    status.replaceChildren(h("a", { href: jobAddress(job.job_id) }, statusOf(job.status)));
    setText(state, sentenceOf(job));
    tile("Runs", count(job.attempt_no), "of this key so far", "");
    tile(
      "Succeeded",
      usual.success_rate === null ? "–" : percent(usual.success_rate),
      `of the newest ${count(usual.runs)}`,
      "",
    );
    tile(
      "Median",
      usual.median_seconds === null ? "–" : duration(usual.median_seconds),
      usual.shortest_seconds === null ? "no success yet" : `shortest ${duration(usual.shortest_seconds)}`,
      "",
    );
    tile(
      "95 % within",
      usual.p95_seconds === null ? "–" : duration(usual.p95_seconds),
      usual.longest_seconds === null ? "no success yet" : `longest ${duration(usual.longest_seconds)}`,
      "",
    );
    jobs.show(data.jobs.map((one) => ({ job: one, usual })));
    all.update(data.key.runs);
  };
  const draw = drawSized(chart, signal, (width) => {
    // What has the focus keeps it.
    const focused = document.activeElement?.closest(".durations a")?.getAttribute("href");
    chart.replaceChildren(durationsChart(data.key.runs, data.key.usual, width));
    if (focused) chart.querySelector<SVGAElement>(`a[href="${CSS.escape(focused)}"]`)?.focus();
  });
  const render = () => {
    legend.replaceChildren(...durationsLegend(data.key.usual));
    days.replaceChildren(calendar(data.key.days));
    draw();
    tick();
  };
  render();
  everySecond(signal, () => isActive(data.key.job.status) && tick());
  const refresh = atMostEvery(1_000, signal, async () => {
    const before = data.key.job;
    data = await load();
    render();
    const { job } = data.key;
    if (job.job_id === before.job_id && isActive(before.status) && !isActive(job.status))
      announce(sentenceOf(job));
  });
  listen("/api/events", ["ready", "started", "ended"], signal, refresh);
  return visible(runKey);
}
