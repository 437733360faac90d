/** Every section of the benchmark runs and measures something, in sizes too small for the numbers to mean anything. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { ROOT, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

test("each section of the benchmark prints its numbers, and none is left out", async () => {
  await using box = new Sandbox();
  const sections = ["growth", "throughput", "memory", "rest", "output"];
  const bench = [process.execPath, join(ROOT, "scripts/bench/main.ts"), "--tiny", ...sections];
  const { code, stdout, stderr } = await box.execute(bench, { env: { TMPDIR: box.directory } });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  for (const title of ["Growth", "Throughput", "Memory", "Rest", "Output"])
    expect(stdout).toContain(`## ${title}`);
  expect(stdout).not.toContain("NOT MEASURED");
  expect(stdout).toMatch(/\| idle worker, private +\| [\d.]+ MiB/);
  expect(stdout).toMatch(/\| clean of 50 with both files +\| [\d,]+ jobs\/s/);
});
