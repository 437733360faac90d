/** A report whose period has more jobs than are read says so, and compares nothing with what it has not read. */
import { expect, test } from "bun:test";
import { toHtml } from "../../src/cli/report/html.ts";
import { toMarkdown } from "../../src/cli/report/markdown.ts";
import type { Period, Report } from "../../src/jobs/report.ts";

const NOW = 1_800_000_000_000_000;

const period: Period = {
  ...{ ended: 10_000, succeeded: 9_999, successRate: 0.9999, failed: 1, lost: 0, cancelled: 0 },
  durations: { median: 40_000, p95: 2_000_000, longest: 90_000_000 },
};

const report: Report = {
  ...{ at: NOW, since: NOW - 60_000_000, host: "web-1", home: "/state", isFleet: false, active: [] },
  ...{ period, before: period, failures: [], omittedFailures: 0, silent: [], cutAt: undefined },
  keys: [{ runKey: "a|b", period, before: period, usual: undefined }],
};

test("the period before is left out if it was not read whole", () => {
  const cut = { ...report, before: undefined, cutAt: NOW, keys: [{ ...report.keys[0]!, before: undefined }] };
  for (const format of [toMarkdown, toHtml]) {
    expect(format(cut)).toContain("There were too many jobs to read: figures begin at 20");
    expect(format(cut)).toContain("The period before was not read.");
    expect(format(report)).not.toContain("too many jobs");
    expect(format(report)).toContain("Every run key that ran at least twice");
  }
  const rows = (text: string) => text.split("\n").filter((line) => /^\| (Ended|a\\\|b) /.test(line));
  expect(rows(toMarkdown(cut)).map((line) => line.replaceAll(/ +/g, " "))).toEqual([
    "| Ended | 10000 | - |",
    "| a\\|b | 10000 | - | 1 failed | <0.1s | - | 2.0s | 1m30s | - | - |",
  ]);
});

test("a rate is never rounded up to 100 %", () => {
  expect(toMarkdown(report)).toContain("9999 (99.9 %)");
  expect(toMarkdown({ ...report, period: { ...period, successRate: 1 } })).toContain("9999 (100 %)");
  expect(toMarkdown({ ...report, period: { ...period, successRate: null } })).toContain("9999 (-)");
});
