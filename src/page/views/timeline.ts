/** The timeline: one row for each run key, a bar for each run. */
import { getTimeline } from "../api.ts";
import { TimelineBox } from "../charts/timeline-box.ts";
import { type Lane, type Span, SPANS, toLanes } from "../charts/timeline-model.ts";
import { timelineLegend } from "../charts/timeline-legend.ts";
import { timelineTable } from "../charts/timeline-table.ts";
import { h, setText } from "../dom.ts";
import { atMostEvery, everySecond, listen } from "../live.ts";
import { isTrouble, statusOf } from "../outcome.ts";
import { jobText } from "../parts/cells.ts";
import { now } from "../parts/time.ts";
import { address, jobAddress, keyAddress, type Route } from "../route.ts";
import { clock, day, duration, full, plural } from "../text.ts";

/** The share of the width that stays free behind now. */
const AHEAD = 0.03;

export async function showTimeline(
  into: HTMLElement,
  { query }: Route,
  signal: AbortSignal,
): Promise<string> {
  let span: Span = SPANS.find(({ id }) => id === query.get("span")) ?? SPANS[1];
  /** The right edge in ms; undefined: it goes with the time. */
  let end: number | undefined = Date.parse(query.get("end") ?? "") || undefined;
  let onlyTrouble = query.get("only") === "failed";
  let all: readonly Lane[] = [];
  /** Older runs were not read, because there are too many. In ms. */
  let readFrom = -Infinity;

  const range = () => {
    const to = end ?? now() + span.ms * AHEAD;
    return { from: to - span.ms, to, tick: span.tick, readFrom };
  };
  const box = new TimelineBox(signal, {
    range,
    chosen: () => tell(),
    opened: ({ jobId }) => (location.hash = jobAddress(jobId)),
    zoomed: (by) => zoom(by),
  });
  const readout = h("p", { class: "readout", role: "status", "aria-live": "polite" });
  const period = h("span", { class: "soft" });
  const table = timelineTable();

  const arrange = () => {
    const lanes = onlyTrouble ? all.filter(({ bars }) => bars.some(({ status }) => isTrouble(status))) : all;
    box.show(lanes);
    table.update(lanes);
    const { from, to } = range();
    const runs = lanes.reduce((sum, { bars }) => sum + bars.length, 0);
    const until = end === undefined ? "now" : `${day(to)} ${clock(to)}`;
    const cut =
      readFrom > -Infinity ? "; older ones (grey) are not read: choose a shorter period, and go back" : "";
    setText(
      period,
      `${day(from)} ${clock(from)} – ${until} · ${plural(runs, "run")} of ${plural(lanes.length, "key")}${cut}`,
    );
    tell();
  };
  /** Says what is chosen, with the way to it. */
  const tell = () => {
    const { lane, bar } = box.chosen ?? {};
    const hint = !box.element.hidden
      ? "Point at a run, or use the arrow keys."
      : onlyTrouble
        ? "No run failed in this period."
        : "No run in this period.";
    // What is heard is not heard again with each event of the server.
    const shown = bar === undefined ? hint : `${bar.jobId} ${bar.status}`;
    if (readout.dataset["shown"] === shown) return;
    readout.dataset["shown"] = shown;
    if (lane === undefined || bar === undefined) return setText(readout, hint);
    readout.replaceChildren(
      statusOf(bar.status),
      h("a", { href: keyAddress(lane.runKey) }, jobText(lane.runKey)),
      h("span", { class: "nowrap" }, full(bar.from)),
      bar.to === Infinity
        ? ""
        : h("span", { class: "nowrap" }, `took ${duration((bar.to - bar.from) / 1000)}`),
      h("a", { href: jobAddress(bar.jobId) }, "Open the job and its log"),
    );
  };
  const load = async () => {
    const { from, to } = range();
    const own = (asked += 1);
    const answer = await getTimeline(from, to, signal);
    // Another period was asked for meanwhile.
    if (own !== asked) return;
    all = toLanes(answer);
    readFrom = answer.is_cut
      ? all.reduce((first, { bars }) => Math.min(first, bars[0]!.to), Infinity)
      : -Infinity;
    arrange();
  };
  let asked = 0;
  const reload = atMostEvery(1_000, signal, load);

  const go = (nextSpan: Span, nextEnd: number | undefined) => {
    span = nextSpan;
    end = nextEnd !== undefined && nextEnd >= now() ? undefined : nextEnd;
    remember();
    box.redraw();
    void load().catch(reload);
  };
  /** Zooms around the chosen run, or what is in the middle. */
  const zoom = (by: number) => {
    const wanted = SPANS[SPANS.indexOf(span) + by];
    if (wanted === undefined) return;
    const { from, to } = range();
    const chosen = box.chosen?.bar.from;
    const middle = chosen ?? (from + to) / 2;
    go(wanted, end === undefined && chosen === undefined ? undefined : middle + wanted.ms / 2);
  };
  const remember = () => {
    const when = end === undefined ? undefined : new Date(end).toISOString();
    const only = onlyTrouble ? "failed" : undefined;
    history.replaceState(null, "", address(["timeline"], { span: span.id, end: when, only }));
    for (const [index, one] of spans.entries())
      one.setAttribute("aria-pressed", String(SPANS[index] === span));
    later.disabled = latest.disabled = end === undefined;
  };

  const button = (name: string, act: () => void, label = name) =>
    h("button", { type: "button", "aria-label": label, onclick: act }, name);
  const spans = SPANS.map((one) => button(one.name, () => go(one, end)));
  const earlier = button("←", () => go(span, range().to - span.ms / 2), "Earlier");
  const later = button("→", () => go(span, range().to + span.ms / 2), "Later");
  const latest = button("Now", () => go(span, undefined));
  const only: HTMLInputElement = h("input", {
    type: "checkbox",
    checked: onlyTrouble,
    onchange: () => {
      onlyTrouble = only.checked;
      remember();
      arrange();
    },
  });
  into.append(
    h("div", { class: "head" }, h("h1", {}, "Timeline"), period),
    h(
      "div",
      { class: "toolbar" },
      h("div", { class: "group", role: "group", "aria-label": "Length of the period" }, ...spans),
      h("div", { class: "group", role: "group", "aria-label": "Move the period" }, earlier, later, latest),
      h("label", { class: "check" }, only, "Only keys with failures"),
    ),
    box.element,
    readout,
    timelineLegend(),
    h("details", {}, h("summary", {}, "Show as a table"), table.element),
  );
  remember();
  await load();
  everySecond(signal, () => end === undefined && box.redraw());
  listen("/api/events", ["ready", "started", "ended"], signal, () => end === undefined && reload());
  return "Timeline";
}
