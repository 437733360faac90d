/** `run` and `logs --follow` pass any amount of output in constant memory. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { BINARY, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const BYTES = 300_000_000;
/** An empty program takes about 35 MB in Bun; the output is 300 MB. */
const MOST_MEMORY = 200_000_000;

/**
 * The peak memory of a living process, in bytes. (The peak counted at its end includes ours, from before its execve.)
 */
function peakOf(pid: number): number {
  return 1024 * Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
}

async function peakMemory(box: Sandbox, words: readonly string[]): Promise<number> {
  const caller = Bun.spawn([BINARY, ...words], {
    env: box.environment(),
    cwd: box.directory,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let bytes = 0;
  let peak = 0;
  for await (const chunk of caller.stdout) {
    bytes += chunk.length;
    // It has most of its work behind it, and cannot end before all is read.
    if (peak === 0 && bytes > BYTES * 0.8) peak = peakOf(caller.pid);
  }
  expect(await caller.exited).toBe(0);
  expect(bytes).toBe(BYTES);
  expect(peak).toBeGreaterThan(0);
  return peak;
}

test("300 MB pass through run, and through logs --follow, in constant memory", async () => {
  await using box = new Sandbox();
  const command = ["head", "-c", String(BYTES), "/dev/zero"];
  expect(await peakMemory(box, ["run", "--run-key", "k", "--", ...command])).toBeLessThan(MOST_MEMORY);
  expect(await peakMemory(box, ["logs", "--follow", "--run-key", "k"])).toBeLessThan(MOST_MEMORY);
});
