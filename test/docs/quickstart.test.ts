/** `bun run quickstart` shows a first real job, exits 0 only if all went as shown, and leaves nothing behind. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const QUICKSTART = [process.execPath, join(ROOT, "scripts/quickstart.ts"), "--no-build"];

/** An empty home and temporary directory, so that the sandbox finds anything left over. */
function environment(box: Sandbox): Record<string, string> {
  return { HOME: box.directory, TMPDIR: box.directory };
}

test("the quickstart shows its commands with their answers and leaves no process and no directory", async () => {
  await using box = new Sandbox();
  const { code, stdout, stderr } = await box.execute(QUICKSTART, { env: environment(box) });
  expect(stderr).toBe("");
  expect(code).toBe(0);
  expect(stdout.match(/^\$ orchesjob \w+/gm)).toEqual([
    "$ orchesjob start",
    "$ orchesjob status",
    "$ orchesjob logs",
    "$ orchesjob start",
    "$ orchesjob start",
    "$ orchesjob cancel",
  ]);
  expect(stdout.match(/^ {2}"existing": \w+/gm)).toEqual([
    '  "existing": false',
    '  "existing": false',
    '  "existing": true',
  ]);
  const scratch = /ORCHESJOB_HOME=(\S+)/.exec(stdout)![1]!;
  expect(scratch).toStartWith(box.directory);
  expect(existsSync(scratch)).toBe(false);
  expect(box.processes()).toEqual([]);
});

test("the quickstart exits 1 and says why if an answer is not as promised", async () => {
  await using box = new Sandbox();
  const { code, stdout, stderr } = await box.execute(QUICKSTART, {
    // PATH has a wrong sha256sum.
    env: { ...environment(box), PATH: withImpostor(box) },
  });
  expect(code).toBe(1);
  expect(stderr).toBe("quickstart: not as promised: logs has what the command has written\n");
  expect(existsSync(/ORCHESJOB_HOME=(\S+)/.exec(stdout)![1]!)).toBe(false);
});

function withImpostor(box: Sandbox): string {
  const bin = join(box.directory, "bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "sha256sum"), "#!/bin/sh\necho wrong\n", { mode: 0o755 });
  return `${bin}:${process.env["PATH"]}`;
}
