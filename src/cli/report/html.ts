/** A report as one HTML file: no script, nothing to load, readable without its style. */
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

/** Mail programs that drop it show plain tables, with their own colours. */
const STYLE = `
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 1.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: 0; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; overflow-wrap: anywhere; }
p { margin: .2rem 0; }
table { border-collapse: collapse; }
th, td { padding: .25rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid #8888; overflow-wrap: anywhere; }
.number { text-align: right; white-space: nowrap; }
pre { padding: .5rem .7rem; border-left: 3px solid #c33; background: #8882; white-space: pre-wrap; overflow-wrap: anywhere; }
.remark { color: #666; }
.wide { overflow-x: auto; }
@media (prefers-color-scheme: dark) { .remark { color: #aaa; } }
`;

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Any text, without a meaning of its own. */
function escapeHtml(text: string): string {
  return sanitize(text).replace(/[&<>"']/g, (character) => ESCAPES[character]!);
}

export function toHtml(report: Report): string {
  return [
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    `<title>${escapeHtml(title(report))}</title>`,
    `<style>${STYLE}</style>\n</head>\n<body>`,
    `<h1>${escapeHtml(title(report))}</h1>`,
    paragraph(subtitle(report)),
    table(overview(report)),
    section("Active now", activeTable(report), "No job is active."),
    "<h2>Failed</h2>",
    ...(report.failures.length === 0 ? [paragraph("No job has failed.")] : failures(report)),
    section("Run keys", keyTable(report), "No job has ended in this period."),
    section(
      "Not seen",
      silentTable(report),
      noneSilent(report),
      "These run keys ran at least twice in the period before, and not in this one.",
    ),
    "<h2>About these figures</h2>",
    ...remarks(report).map((text) => `<p class="remark">${escapeHtml(text)}</p>`),
    "</body>\n</html>\n",
  ].join("\n");
}

function failures({ failures: failed }: Report): readonly string[] {
  return failed.flatMap((failure) => {
    const remark = linesRemark(failure);
    return [
      `<h3>${escapeHtml(failure.job.runKey)}</h3>`,
      paragraph(describeFailure(failure)),
      `<p><code>${escapeHtml(commandOf(failure))}</code></p>`,
      remark === undefined ? `<pre>${failure.lines!.map(escapeHtml).join("\n")}</pre>` : paragraph(remark),
    ];
  });
}

function paragraph(text: string): string {
  return `<p>${escapeHtml(text)}</p>`;
}

/** `empty`: instead of a table without rows; `above`: over one that has some. */
function section(heading: string, rows: TextTable, empty: string, above?: string): string {
  const content = rows.rows.length === 0 ? paragraph(empty) : table(rows);
  const text = above === undefined || rows.rows.length === 0 ? "" : `${paragraph(above)}\n`;
  return `<h2>${escapeHtml(heading)}</h2>\n${text}${content}`;
}

function table({ headings, isNumber, rows }: TextTable): string {
  const align = (column: number) => (isNumber[column] ? ' class="number" align="right"' : "");
  const head = headings
    .map((text, column) => `<th scope="col"${align(column)}>${escapeHtml(text)}</th>`)
    .join("");
  const body = rows.map((row) => {
    const cells = row.map((text, column) =>
      column === 0
        ? `<th scope="row">${escapeHtml(text)}</th>`
        : `<td${align(column)}>${escapeHtml(text)}</td>`,
    );
    return `<tr>${cells.join("")}</tr>`;
  });
  return `<div class="wide"><table>\n<thead><tr>${head}</tr></thead>\n<tbody>\n${body.join("\n")}\n</tbody>\n</table></div>`;
}
