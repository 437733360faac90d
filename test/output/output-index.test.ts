/** The index of a command that writes without end stays small, and what it says stays true. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OutputIndex, OutputIndexReader } from "../../src/state/output-index.ts";
import { TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const LARGE_BYTES = 1_048_576;

test("a large index has one entry for all that came within a second", async () => {
  const directory = mkdtempSync(join(tmpdir(), "orchesjob-index-"));
  try {
    const path = join(directory, "times");
    const added = (write: (index: OutputIndex) => void, before: number) => {
      writeFileSync(path, new Uint8Array(before));
      const index = new OutputIndex(path);
      write(index);
      return { index, bytes: () => statSync(path).size - before };
    };
    const writeMuch = (index: OutputIndex) => {
      for (let end = 1; end <= 1_000; end++) index.add(end % 3 === 0 ? "stderr" : "stdout", end);
    };
    // Below that, each read has its entry.
    const small = added(writeMuch, LARGE_BYTES - 16_000);
    expect(small.bytes()).toBe(16_000);
    small.index.close();
    const large = added(writeMuch, LARGE_BYTES);
    // A loop of 1,000 may take more than a second on a machine that is busy.
    expect(large.bytes()).toBeLessThan(160);
    await until("the end has its entries", () => large.bytes() >= 32);
    large.index.add("stdout", 2_000);
    const before = Date.now();
    large.index.close();
    const arrivals = [...new OutputIndexReader(path).read(1_000_000, 1_000_000)].slice(-3);
    expect(arrivals.map(({ stream, end }) => [stream, end])).toEqual([
      ["stderr", 999],
      ["stdout", 1_000],
      ["stdout", 2_000],
    ]);
    for (const { time } of arrivals) expect(Math.abs(before - time / 1_000)).toBeLessThan(60_000);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
