/** Columns that several tables of jobs have. */
import { h } from "../dom.ts";
import { PLAIN, readAnsi } from "../log/ansi.ts";
import { statusOf } from "../outcome.ts";
import { jobAddress, keyAddress } from "../route.ts";
import { ago, duration, full, moment, rough, visible } from "../text.ts";
import type { Job } from "../wire.ts";
import { againstBar, type Measure, slowness, usually } from "./against.ts";
import type { Column } from "./table.ts";
import { at, now, took } from "./time.ts";

export interface Row {
  readonly job: Job;
  /** What it wrote last, of a job that has ended. */
  readonly lastLine?: string | undefined;
  readonly usual?: Measure | null | undefined;
}

/** A text of a job, every character of it visible, apart from the direction of the text around it. */
export function jobText(text: string, className = ""): HTMLElement {
  return h("span", { class: `job-text ${className}`.trimEnd() }, visible(text));
}

export function timeOf(time: string, text: string): HTMLElement {
  return h("time", { datetime: time, title: full(at(time)) }, text);
}

/** A line of a log without what a terminal would obey. */
export const withoutColors = (line: string) =>
  readAnsi(line, PLAIN)
    .spans.map(({ text }) => text)
    .join("");

/** ", exit 1", ", SIGKILL", or nothing. */
export function codeOf(job: Job): string {
  if (job.signal !== null) return ` · ${job.signal}`;
  return job.exit_code === null || job.exit_code === 0 ? "" : ` · exit ${job.exit_code}`;
}

const labelsOf = (job: Job) =>
  Object.entries(job.labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");

export const statusColumn: Column<Row> = {
  name: "Status",
  text: ({ job }) => job.status + codeOf(job) + (job.stalled_since ?? ""),
  make: ({ job }) => [
    h("a", { href: jobAddress(job.job_id) }, statusOf(job.status, codeOf(job))),
    job.stalled_since !== null && h("span", { class: "under slow" }, "stalled"),
  ],
};

export const keyColumn: Column<Row> = {
  name: "Run key",
  kind: "key",
  text: ({ job }) => `${job.run_key}\n${job.attempt_no}${labelsOf(job)}`,
  make: ({ job }) => [
    // The history of a job of another member is there.
    h(
      "a",
      { href: job.member === null ? keyAddress(job.run_key) : jobAddress(job.job_id) },
      jobText(job.run_key),
    ),
    h(
      "span",
      { class: "under" },
      `run ${job.attempt_no}`,
      ...Object.entries(job.labels).flatMap(([name, value]) => [" · ", jobText(`${name}=${value}`)]),
      job.member === null ? null : ` · ${visible(job.member)}`,
    ),
  ],
};

export const startedColumn: Column<Row> = {
  name: "Started",
  kind: "nowrap",
  labelled: true,
  text: ({ job }) => moment(at(job.started_at), now()),
  make: ({ job }) => [timeOf(job.started_at, moment(at(job.started_at), now()))],
};

export const endedColumn: Column<Row> = {
  name: "Ended",
  kind: "nowrap",
  labelled: true,
  text: ({ job }) => (job.finished_at === null ? "" : ago(at(job.finished_at), now())),
  make: ({ job }) => [
    job.finished_at === null ? null : timeOf(job.finished_at, ago(at(job.finished_at), now())),
  ],
};

export const tookColumn: Column<Row> = {
  name: "Took",
  kind: "nowrap",
  labelled: true,
  text: ({ job, usual }) => `${duration(took(job))}${usual?.median_seconds ?? ""}`,
  make: ({ job, usual }) => {
    const seconds = took(job);
    const slow = slowness(seconds, usual);
    return [
      h("span", { class: slow === "" ? "" : "slow", title: slow || usually(usual) }, duration(seconds)),
      againstBar(seconds, usual),
      slow !== ""
        ? h("span", { class: "under slow" }, `usually ${duration(usual!.median_seconds!)}`)
        : h("span", { class: "under" }, usually(usual)),
    ];
  },
};

/** The same where every row has the same key: what is usual stands above. */
export const plainTookColumn: Column<Row> = {
  ...tookColumn,
  make: ({ job, usual }) => {
    const slow = slowness(took(job), usual);
    return [
      h("span", { class: slow === "" ? "" : "slow", title: slow || undefined }, duration(took(job))),
      slow === "" ? null : h("span", { class: "under slow" }, "longer than usual"),
    ];
  },
};

/** Why it ended, or what it writes. */
export const wordsColumn: Column<Row> = {
  name: "Message",
  kind: "wide",
  text: ({ job, lastLine }) =>
    [reasonOf(job), job.last_line ?? lastLine, quietOf(job), job.orphan_pids.length]
      .map((part) => part ?? "")
      .join("\n"),
  make: ({ job, lastLine }) => {
    const reason = reasonOf(job);
    const line = job.last_line ?? lastLine ?? "";
    const quiet = quietOf(job);
    return [
      reason === "" ? null : jobText(reason),
      line === "" ? null : h("span", { class: "last-line" }, jobText(withoutColors(line))),
      quiet === "" ? null : h("span", { class: job.stalled_since === null ? "under" : "under slow" }, quiet),
      job.orphan_pids.length === 0
        ? null
        : h("span", { class: "under slow" }, `its command still runs: ${job.orphan_pids.join(", ")}`),
    ];
  },
};

/** Why it did not succeed, as far as it is known. */
export function reasonOf(job: Job): string {
  if (job.error !== null) return job.error;
  if (job.status === "LOST") return `lost: ${(job.lost_reason ?? "unknown").replaceAll("_", " ")}`;
  return job.cancel_reason ?? "";
}

function quietOf({ quiet_seconds, stalled_since }: Job): string {
  const quiet =
    quiet_seconds !== null && quiet_seconds >= 60 ? `quiet for ${rough(quiet_seconds)}` : undefined;
  return [stalled_since === null ? undefined : "stalled", quiet].filter(Boolean).join(", ");
}
