/** A report in Markdown, for a terminal, a chat or a ticket. Texts of jobs stay texts, whatever reads it. */
import type { Report } from "../../jobs/report.ts";
import { sanitize } from "../output/sanitize.ts";
import {
  activeTable,
  commandOf,
  describeFailure,
  keyTable,
  linesRemark,
  noneSilent,
  overview,
  remarks,
  silentTable,
  subtitle,
  type TextTable,
  title,
} from "./texts.ts";

/** Any text, without a meaning of its own. An underscore within a word has none, nor has `<` before a digit. */
function escapeMarkdown(text: string): string {
  return sanitize(text).replace(/[\\`*[\]>|~&#!]|<(?!\d)|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, "\\$&");
}

export function toMarkdown(report: Report): string {
  return `${[
    `# ${escapeMarkdown(title(report))}`,
    escapeMarkdown(subtitle(report)),
    table(overview(report)),
    "## Active now",
    orElse(activeTable(report), "No job is active."),
    "## Failed",
    ...(report.failures.length === 0 ? ["No job has failed."] : failures(report)),
    "## Run keys",
    orElse(keyTable(report), "No job has ended in this period."),
    "## Not seen",
    ...(report.silent.length === 0
      ? [noneSilent(report)]
      : [
          "These run keys ran at least twice in the period before, and not in this one.",
          table(silentTable(report)),
        ]),
    "## About these figures",
    ...remarks(report).map(escapeMarkdown),
  ].join("\n\n")}\n`;
}

function failures({ failures: failed }: Report): readonly string[] {
  return failed.flatMap((failure) => {
    const remark = linesRemark(failure);
    return [
      `### ${escapeMarkdown(failure.job.runKey)}`,
      escapeMarkdown(describeFailure(failure)),
      codeSpan(sanitize(commandOf(failure))),
      remark === undefined ? fenced(failure.lines!.map(sanitize)) : remark,
    ];
  });
}

function fenced(lines: readonly string[]): string {
  const fence = longerFence(lines.join("\n"), 3);
  return `${fence}\n${lines.join("\n")}\n${fence}`;
}

function codeSpan(text: string): string {
  const fence = longerFence(text, 1);
  return `${fence} ${text} ${fence}`;
}

/** Backticks: more than the text could close the code with. */
function longerFence(text: string, least: number): string {
  const longest = (text.match(/`+/g) ?? []).reduce((most, run) => Math.max(most, run.length), least - 1);
  return "`".repeat(longest + 1);
}

function orElse(rows: TextTable, empty: string): string {
  return rows.rows.length === 0 ? empty : table(rows);
}

/** With columns that stand below each other in a terminal, too. */
function table({ headings, isNumber, rows }: TextTable): string {
  const cells = [headings, ...rows].map((row) => row.map(escapeMarkdown));
  const widths = headings.map((_, column) =>
    Math.max(3, ...cells.map((row) => Bun.stringWidth(row[column]!))),
  );
  const line = (row: readonly string[]) =>
    `| ${row
      .map((text, column) => {
        const fill = " ".repeat(widths[column]! - Bun.stringWidth(text));
        return isNumber[column] ? fill + text : text + fill;
      })
      .join(" | ")} |`;
  const rule = widths.map((width, column) => `${"-".repeat(width - 1)}${isNumber[column] ? ":" : "-"}`);
  return [line(cells[0]!), line(rule), ...cells.slice(1).map(line)].join("\n");
}
