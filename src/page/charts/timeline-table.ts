/** The timeline as a table, for those who do not see it. */
import { h } from "../dom.ts";
import { statusOf, WORDS } from "../outcome.ts";
import { jobText, timeOf } from "../parts/cells.ts";
import { type Column, type Table, tableOf } from "../parts/table.ts";
import { now } from "../parts/time.ts";
import { jobAddress, keyAddress } from "../route.ts";
import { count, duration, moment } from "../text.ts";
import type { Status } from "../wire.ts";
import type { Lane } from "./timeline-model.ts";

const counted = (status: Status): Column<Lane> => ({
  name: WORDS[status],
  kind: "number",
  labelled: true,
  text: ({ bars }) => count(bars.filter((bar) => bar.status === status).length),
});

const last = ({ bars }: Lane) => bars.at(-1)!;

export function timelineTable(): Table<Lane> {
  const columns: readonly Column<Lane>[] = [
    {
      name: "Run key",
      kind: "key",
      text: ({ runKey }) => runKey,
      make: ({ runKey }) => [h("a", { href: keyAddress(runKey) }, jobText(runKey))],
    },
    { name: "Runs", kind: "number", labelled: true, text: ({ bars }) => count(bars.length) },
    ...(["SUCCEEDED", "FAILED", "LOST", "CANCELLED"] as const).map(counted),
    {
      name: "Longest",
      kind: "nowrap",
      labelled: true,
      text: ({ bars }) =>
        duration(bars.reduce((most, bar) => Math.max(most, Math.min(bar.to, now()) - bar.from), 0) / 1000),
    },
    {
      name: "Last run",
      text: (lane) => last(lane).jobId + last(lane).status,
      make: (lane) => [
        h("a", { href: jobAddress(last(lane).jobId) }, statusOf(last(lane).status)),
        " ",
        timeOf(new Date(last(lane).from).toISOString(), moment(last(lane).from, now())),
      ],
    },
  ];
  return tableOf("Runs in this period, by run key", columns, ({ runKey }) => runKey);
}
