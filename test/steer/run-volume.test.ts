/** `run` and `logs --follow` pass any size on in the memory of a few megabytes. */
import { expect, test } from "bun:test";
import { BINARY, Sandbox } from "../support/sandbox.ts";

const BYTES = 300_000_000;
/** An empty program of Bun's takes about 35 MB; the output would be 300. */
const MOST_MEMORY = 200_000_000;

async function peakMemory(box: Sandbox, words: readonly string[]): Promise<number> {
  const caller = Bun.spawn([BINARY, ...words], {
    env: box.environment(),
    cwd: box.directory,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let bytes = 0;
  for await (const chunk of caller.stdout) bytes += chunk.length;
  expect(await caller.exited).toBe(0);
  expect(bytes).toBe(BYTES);
  return caller.resourceUsage()!.maxRSS;
}

test("300 MB pass through run, and through logs --follow, in constant memory", async () => {
  await using box = new Sandbox();
  const command = ["head", "-c", String(BYTES), "/dev/zero"];
  expect(await peakMemory(box, ["run", "--run-key", "k", "--", ...command])).toBeLessThan(MOST_MEMORY);
  expect(await peakMemory(box, ["logs", "--follow", "--run-key", "k"])).toBeLessThan(MOST_MEMORY);
});
