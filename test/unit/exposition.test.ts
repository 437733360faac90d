import { expect, test } from "bun:test";
import { formatLabels, formatMetrics } from "../../src/cli/output/exposition.ts";

test("a metric has its help, its type and a line for each sample", () => {
  const metric = { name: "jobs", type: "gauge", help: "All jobs.", samples: [{ value: 2 }] } as const;
  expect(formatMetrics([metric])).toBe("# HELP jobs All jobs.\n# TYPE jobs gauge\njobs 2\n");
});

test("labels are quoted, and empty ones are left out", () => {
  expect(formatLabels({})).toBe("");
  expect(formatLabels({ a: "", b: "" })).toBe("");
  expect(formatLabels({ a: "1", b: "", c: "2" })).toBe('{a="1",c="2"}');
});

test("characters that would end a label's value are escaped", () => {
  expect(formatLabels({ key: 'a"b\\c\nd' })).toBe('{key="a\\"b\\\\c\\nd"}');
});

test("a help text stays on its line", () => {
  const metric = { name: "x", type: "gauge", help: "one\ntwo \\", samples: [] } as const;
  expect(formatMetrics([metric])).toBe("# HELP x one\\ntwo \\\\\n# TYPE x gauge\n");
});
