/** Draws what the terminal shows: the title, the page, and a last line for questions and messages. Pure. */
import {
  hostOf,
  bodyHeight,
  current,
  isStalled,
  type LogPage,
  stateOf,
  type State,
  visible,
} from "./model.ts";
import { bytesText } from "../../job/bytes.ts";
import { formatDuration } from "../../job/duration.ts";
import { HELP } from "./help.ts";
import { drawHistory } from "./history-page.ts";
import { cell, fitLine, type Line, segment, widthOf } from "./line.ts";
import { drawList } from "./list-page.ts";
import type { Look } from "./look.ts";
import type { Picture } from "./painter.ts";

interface Body {
  readonly title: string;
  readonly headings: Line;
  readonly lines: readonly Line[];
  /** What the keys do, for the last line. */
  readonly keys: string;
}

export function draw(state: State, look: Look): Picture {
  const { columns, rows } = state.size;
  const { title, headings, lines, keys } = drawPage(state, look);
  const top = [[cell(look, ` ${title}`, columns, "title")], headings];
  // On a low screen the rows are worth more than what stands above them.
  const above = rows >= 5 ? top : rows >= 3 ? top.slice(0, 1) : [];
  const body = lines.slice(0, Math.max(1, rows - above.length - (rows > 1 ? 1 : 0)));
  const filled = [...above, ...body];
  while (filled.length < Math.max(1, rows - 1)) filled.push([]);
  const last = lastLine(state, look, keys);
  const all = rows > 1 ? [...filled, last.line] : filled;
  return {
    lines: all.slice(0, rows).map((line) => fitLine(look, line, columns)),
    cursor:
      last.cursor === undefined ? undefined : { column: Math.min(last.cursor, columns - 1), row: rows - 1 },
  };
}

function drawPage(state: State, look: Look): Body {
  const { page } = current(state);
  switch (page.kind) {
    case "jobs":
      return {
        title: listTitle(state),
        ...drawList(state, look),
        keys: "Enter logs  h history  c cancel  r rerun  / filter  ? help  q quit",
      };
    case "history":
      return { ...drawHistory(state, page, look), keys: "Enter logs  c cancel  r rerun  Esc back  ? help" };
    case "log":
      return drawLog(state, page, look);
    case "members":
      return drawMembers(state, look);
    case "help":
      return {
        title: "orchesjob top: keys",
        headings: [],
        lines: HELP.slice(current(state).first, current(state).first + bodyHeight(state)).map(
          ([keys, what]) => [cell(look, `  ${keys}`, 23), segment(look, what, state.size.columns - 23)],
        ),
        keys: "Esc back",
      };
  }
}

function listTitle(state: State): string {
  const { data, filter } = state;
  const { active, ended } = visible(state);
  const stalled = active.filter(({ job }) => isStalled(job)).length;
  const counts = [`${active.length} active`, ...(stalled > 0 ? [`${stalled} stalled`] : [])];
  const members = data.members === undefined ? "" : `  ${data.members.length} members`;
  const found =
    filter === "" ? "" : `  filter "${filter}": ${ended.length} of the newest ${data.ended.length} ended`;
  return `orchesjob top  ${counts.join(", ")}${members}${found}  ${data.place}`;
}

function lastLine(state: State, look: Look, keys: string): { readonly line: Line; readonly cursor?: number } {
  const { columns } = state.size;
  const { question, filter, isTyping, message, data } = state;
  if (question !== undefined) {
    const { action, target } = question;
    const verb = action === "cancel" ? "Cancel" : "Run again";
    const where = action === "rerun" && data.members !== undefined ? " on this host" : "";
    // The key may be long: the question must stay in sight.
    const end = ` (${target.status})${where}? y/n `;
    const name = segment(look, ` ${verb} ${target.runKey}`, columns - end.length, "warning");
    const line = [name, segment(look, end, columns, "warning")];
    return { line, cursor: widthOf(line) };
  }
  if (isTyping) {
    const [prompt, room] = [" Filter: ", Math.max(1, columns - 10)];
    // The end of a long filter is where somebody types.
    const typed = segment(look, filter.slice(-room), room);
    return { line: [segment(look, prompt, columns), typed], cursor: prompt.length + typed.width };
  }
  const text = message || data.problem;
  return { line: [segment(look, ` ${text ?? keys}`, columns, text === undefined ? "dim" : "warning")] };
}

function drawLog(state: State, { target, stream, text, indent, follows }: LogPage, look: Look): Body {
  const { columns } = state.size;
  const job = text?.job;
  const host = job?.elsewhere === undefined ? "" : ` on ${hostOf(job)}`;
  const sizes = (["stdout", "stderr"] as const).map((each) => {
    const size = text === undefined ? "" : ` ${bytesText(text.sizes[each])}`;
    return each === stream ? `[${each}${size}]` : ` ${each}${size} `;
  });
  const lines = text?.lines.slice(current(state).first, current(state).first + bodyHeight(state)) ?? [];
  const what = text?.problem ?? (text?.lines.length === 0 ? nothingWritten(stream, text.sizes) : "");
  const name = job === undefined ? target.runKey : `${target.runKey}#${job.attemptNo}`;
  const option = stream === "stdout" ? "" : " --stream stderr";
  return {
    title: `${name}  ${job === undefined ? target.status : stateOf(job)}${host}  ${sizes.join(" ")}`,
    headings: [
      segment(
        look,
        `${text?.isCut ? "The end of the output; all of it: " : ""}orchesjob logs --job-id ${target.jobId}${option}`,
        columns,
        "dim",
      ),
    ],
    lines:
      what === ""
        ? lines.map((line) => [segment(look, [...line].slice(indent).join(""), columns)])
        : [[segment(look, what, columns, "dim")]],
    keys: `${follows ? "following" : "End follows"}  Tab other stream  c cancel  r rerun  Esc back`,
  };
}

function nothingWritten(
  stream: "stdout" | "stderr",
  sizes: { readonly stdout: number; readonly stderr: number },
): string {
  const other = stream === "stdout" ? "stderr" : "stdout";
  return `Nothing was written to ${stream}${sizes[other] > 0 ? `. Tab shows ${other}` : " yet"}.`;
}

const MEMBER_WIDTHS = [14, 14, 12, 8, 13];

function drawMembers(state: State, look: Look): Body {
  const { chosen, first } = current(state);
  const line = (mark: string, texts: readonly string[], style: "plain" | "heading" | "selected"): Line => [
    cell(look, mark, 2, style),
    ...texts.map((text, column) => cell(look, text, MEMBER_WIDTHS[column] ?? 12, style)),
  ];
  const members = state.data.members ?? [];
  return {
    title: `Members of the fleet: ${members.length}`,
    headings: line("", ["MEMBER", "HOST", "LEASE", "ACTIVE", "UNPUBLISHED", "VERSION"], "heading"),
    lines: members.slice(first, first + bodyHeight(state)).map((member, index) => {
      const { name, host, leaseLeftMs, active, unpublished, version, isOwn } = member;
      const lease =
        leaseLeftMs === null
          ? "none"
          : leaseLeftMs > 0
            ? formatDuration(leaseLeftMs)
            : `over ${formatDuration(-leaseLeftMs)}`;
      const isChosen = first + index === chosen;
      const texts = [
        isOwn ? `${name} (here)` : name,
        host,
        lease,
        String(active),
        String(unpublished),
        version,
      ];
      return line(isChosen ? "> " : "", texts, isChosen ? "selected" : "plain");
    }),
    keys: "Esc back",
  };
}
