/** The last weeks as a calendar: each day has the mark of its worst outcome. It is a table, so it can be read as one. */
import { h } from "../dom.ts";
import { mark } from "../outcome.ts";
import { address } from "../route.ts";
import { plural } from "../text.ts";
import type { Status, Totals } from "../wire.ts";

const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

type Day = Totals & { readonly day: string };

/** `days`: the oldest first, without gaps. */
export function calendar(days: readonly Day[]): HTMLElement {
  const weekday = (day: string) => (new Date(`${day}T12:00:00Z`).getUTCDay() + 6) % 7;
  const weeks: (Day | undefined)[][] = [];
  for (const [index, day] of days.entries()) {
    const place = weekday(day.day);
    if (index === 0 || place === 0) weeks.push(Array.from({ length: 7 }));
    weeks.at(-1)![place] = day;
  }
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { class: "calendar" },
      h(
        "caption",
        { class: "only-heard" },
        "Outcomes by day: a row for each day of the week, a column for each week",
      ),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("td"),
          ...weeks.map((week, index) => h("th", { scope: "col" }, monthOf(week, weeks[index - 1]))),
        ),
      ),
      h(
        "tbody",
        {},
        ...WEEKDAYS.map((name, place) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, name),
            ...weeks.map((week) => h("td", {}, cellOf(week[place]))),
          ),
        ),
      ),
    ),
  );
}

/** The month above the week in which it begins. */
function monthOf(
  week: readonly (Day | undefined)[],
  before: readonly (Day | undefined)[] | undefined,
): string {
  const month = (of: readonly (Day | undefined)[] | undefined) =>
    of?.find((day) => day !== undefined)?.day.slice(5, 7);
  const own = month(week);
  if (own === undefined || own === month(before)) return "";
  return new Intl.DateTimeFormat("en", { month: "short", timeZone: "UTC" }).format(
    new Date(`2000-${own}-15T00:00:00Z`),
  );
}

function worstOf({ failed, lost, cancelled, succeeded }: Totals): Status | undefined {
  if (failed > 0) return "FAILED";
  if (lost > 0) return "LOST";
  if (succeeded > 0) return "SUCCEEDED";
  return cancelled > 0 ? "CANCELLED" : undefined;
}

function cellOf(day: Day | undefined): HTMLElement | null {
  if (day === undefined) return null;
  const worst = worstOf(day);
  const parts = [`${day.day}: ${plural(day.ended, "run")} ended`];
  for (const name of ["failed", "lost", "cancelled"] as const)
    if (day[name] > 0) parts.push(`${day[name]} ${name}`);
  const words = parts.join(", ");
  if (worst === undefined) return h("span", { title: words }, h("span", { class: "only-heard" }, words));
  const end = new Date(`${day.day}T00:00:00`);
  end.setDate(end.getDate() + 1);
  return h(
    "a",
    {
      class: `outcome-${worst}`,
      href: address(["timeline"], { span: "day", end: end.toISOString() }),
      title: words,
      "aria-label": words,
    },
    mark(worst),
  );
}
