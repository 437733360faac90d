/** What `top` knows and shows: plain data, and how the list moves. Reads nothing and draws nothing. */
import type { Instant, Job } from "../../job/job.ts";
import type { JobStatus } from "../../job/status.ts";
import type { Usual } from "../../job/usual.ts";
import type { TerminalSize } from "../../linux/terminal.ts";
import type { LastOutput } from "../../state/last-output.ts";
import type { Run } from "../../store/figures.ts";
import { HELP } from "./help.ts";

/** What must be known of a job to do something about it. */
export type Target = Pick<Job, "jobId" | "runKey" | "status">;

export interface Row {
  readonly job: Job;
  /** Of a job that runs on this host. */
  readonly last: LastOutput | undefined;
  readonly usual: Usual | undefined;
}

export interface MemberRow {
  readonly name: string;
  readonly host: string;
  /** In ms; null: it has none. */
  readonly leaseLeftMs: number | null;
  readonly active: number;
  readonly unpublished: number;
  readonly version: string;
  readonly isOwn: boolean;
}

export interface Data {
  readonly at: Instant;
  /** Grows when there is news in the database or in the registry. */
  readonly revision: number;
  readonly place: string;
  /** Stalled ones first, then the others, oldest first. */
  readonly active: readonly Row[];
  /** The last ended first. */
  readonly ended: readonly Row[];
  /** Undefined outside of a fleet. */
  readonly members: readonly MemberRow[] | undefined;
  /** What cannot be read now; undefined: nothing. */
  readonly problem: string | undefined;
}

export interface LogText {
  /** As it is now. */
  readonly job: Job | undefined;
  readonly lines: readonly string[];
  /** There is more before the first line. */
  readonly isCut: boolean;
  /** Bytes of each stream. */
  readonly sizes: { readonly stdout: number; readonly stderr: number };
  /** Shown instead of the lines if they cannot be read. */
  readonly problem: string | undefined;
}

export type Page =
  | { readonly kind: "jobs" | "help" | "members" }
  | {
      readonly kind: "history";
      readonly runKey: string;
      /** The newest first; undefined: not read yet. */
      readonly runs: readonly Run[] | undefined;
      readonly usual: Usual | undefined;
    }
  | {
      readonly kind: "log";
      readonly target: Target;
      readonly stream: "stdout" | "stderr";
      readonly text: LogText | undefined;
      /** Columns that are left out at the left. */
      readonly indent: number;
      /** Whether the end stays in sight. */
      readonly follows: boolean;
    };

export type LogPage = Extract<Page, { readonly kind: "log" }>;

export interface Question {
  readonly action: "cancel" | "rerun";
  readonly target: Target;
}

export interface State {
  readonly size: TerminalSize;
  readonly data: Data;
  /** The last one is shown; the first one is the list of jobs. */
  readonly pages: readonly Placed[];
  readonly filter: string;
  /** Somebody types a filter. */
  readonly isTyping: boolean;
  readonly question: Question | undefined;
  /** Shown in the last line until the next key. */
  readonly message: string;
}

/** A page, and which part of it is in sight. */
export interface Placed {
  readonly page: Page;
  /** Index of the chosen row. */
  readonly chosen: number;
  /** Of jobs: the one that was chosen, whose row moves. */
  readonly chosenId: string | undefined;
  /** Index of the first line in sight. */
  readonly first: number;
}

/** What the program has to do after a key. */
export type Effect =
  | { readonly do: "quit" | "suspend" | "redraw" | "read" }
  | { readonly do: "cancel" | "rerun"; readonly target: Target };

export const place = (page: Page): Placed => ({ page, chosen: 0, chosenId: undefined, first: 0 });

export function initialState(size: TerminalSize, data: Data): State {
  return settle({
    ...{ size, data, filter: "", isTyping: false, question: undefined, message: "" },
    pages: [place({ kind: "jobs" })],
  });
}

export const current = ({ pages }: State): Placed => pages.at(-1)!;

export function withCurrent(state: State, changes: Partial<Placed>): State {
  return { ...state, pages: [...state.pages.slice(0, -1), { ...current(state), ...changes }] };
}

interface Rows {
  readonly active: readonly Row[];
  readonly ended: readonly Row[];
}

/** What the last filter has let through: one picture asks several times. */
const filtered = new WeakMap<Data, { readonly filter: string; readonly rows: Rows }>();

/** The rows of the list that the filter lets through. */
export function visible({ data, filter }: Pick<State, "data" | "filter">): Rows {
  if (filter === "") return data;
  const known = filtered.get(data);
  if (known?.filter === filter) return known.rows;
  const words = filter.toLowerCase().split(" ").filter(Boolean);
  const isMatch = ({ job }: Row) => {
    const text = searched(job);
    return words.every((word) => text.includes(word));
  };
  const rows = { active: data.active.filter(isMatch), ended: data.ended.filter(isMatch) };
  filtered.set(data, { filter, rows });
  return rows;
}

function searched(job: Job): string {
  const labels = [...job.labels].map(([name, value]) => `${name}=${value}`);
  const stalled = isStalled(job) ? "stalled" : "";
  return [job.runKey, job.status, stalled, hostOf(job), ...labels, job.command.join(" ")]
    .join("\n")
    .toLowerCase();
}

export const hostOf = (job: Job): string => job.elsewhere?.host ?? job.origin?.host ?? "";

export function isStalled(job: Job): boolean {
  return job.status === "RUNNING" && job.stalledSince !== null;
}

/** What is said about a job's state: its status, and `STALLED` of one that runs. */
export function stateOf(job: Job): JobStatus | "STALLED" | "SILENT HOST" {
  if (isStalled(job)) return "STALLED";
  const isSilent = (job.elsewhere?.silentMs ?? 0) > 0 && job.finishedAt === null;
  return isSilent ? "SILENT HOST" : job.status;
}

/** Lines below the title and the headings, and above the last line. */
export function bodyHeight(state: State): number {
  const { rows } = state.size;
  const above = rows >= 5 ? 2 : rows >= 3 ? 1 : 0;
  return Math.max(1, rows - above - 1 - barLines(state));
}

/** How many lines of a history its bars take; none on a low screen. */
export function barLines(state: State): number {
  return current(state).page.kind === "history" && state.size.rows >= 10 ? 3 : 0;
}

/** How many lines the page has that can be in sight, and how many of them can be chosen. */
export function extentOf(state: State): { readonly lines: number; readonly rows: number } {
  const { page } = current(state);
  if (page.kind === "jobs") {
    const { active, ended } = visible(state);
    const headings = active.length > 0 && ended.length > 0 ? 1 : 0;
    return { lines: active.length + ended.length + headings, rows: active.length + ended.length };
  }
  const count =
    page.kind === "history"
      ? (page.runs?.length ?? 0)
      : page.kind === "log"
        ? (page.text?.lines.length ?? 0)
        : page.kind === "members"
          ? (state.data.members?.length ?? 0)
          : HELP.length;
  return { lines: count, rows: count };
}

/** The job of the chosen row. */
export function chosenJob(state: State): Target | undefined {
  const { page, chosen } = current(state);
  if (page.kind === "log") return page.text?.job ?? page.target;
  if (page.kind === "history") return page.runs?.[chosen];
  if (page.kind !== "jobs") return undefined;
  const { active, ended } = visible(state);
  return (active[chosen] ?? ended[chosen - active.length])?.job;
}

/** Keeps the chosen row on its job, within the list, and in sight. */
export function settle(state: State): State {
  const { lines, rows } = extentOf(state);
  const height = bodyHeight(state);
  const { page, chosenId, chosen: wanted, first: wantedFirst } = current(state);
  const largest = Math.max(0, lines - height);
  if (page.kind === "log") {
    const first = page.follows ? largest : Math.min(Math.max(0, wantedFirst), largest);
    return withCurrent(state, { first, chosen: 0 });
  }
  if (page.kind === "help")
    return withCurrent(state, { first: Math.min(Math.max(0, wantedFirst), largest), chosen: 0 });
  const { active, ended } = page.kind === "jobs" ? visible(state) : { active: [], ended: [] };
  const targets = page.kind === "history" ? (page.runs ?? []) : [...active, ...ended].map(({ job }) => job);
  const place = chosenId === undefined ? -1 : targets.findIndex(({ jobId }) => jobId === chosenId);
  let chosen = place >= 0 ? place : wanted;
  chosen = Math.min(Math.max(0, chosen), Math.max(0, rows - 1));
  const line = chosen + (active.length > 0 && chosen >= active.length ? 1 : 0);
  let first = Math.min(Math.max(0, wantedFirst), largest);
  // The heading above the first ended job comes into sight with it.
  if (line < first) first = line - (line === active.length + 1 && active.length > 0 ? 1 : 0);
  if (line >= first + height) first = line - height + 1;
  const settled = withCurrent(state, { chosen, first: Math.max(0, first) });
  return withCurrent(settled, { chosenId: chosenJob(settled)?.jobId });
}
