/** A start warns where the command names its stdout or stderr, which are its log: opened anew, that is truncated. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

test("a command or a script that opens its own log is warned of, and others are not", async () => {
  await using box = new Sandbox();
  const script = (name: string, text: string) => {
    const path = join(box.directory, name);
    writeFileSync(path, text);
    chmodSync(path, 0o755);
    return path;
  };
  const warned = async (command: readonly string[], env = {}) => {
    const words = ["start", "--sync", "--run-key", "k", "--", ...command];
    return (await box.json(words, { env })).warnings;
  };
  const path = script("noisy", "#!/bin/sh\necho x | tee /dev/stderr\n");
  for (const command of [
    ["sh", "-c", "echo x > /dev/stderr"],
    ["sh", "-c", "echo x >/proc/self/fd/1"],
    ["tee", "/dev/fd/2"],
    [path],
    ["./noisy"],
  ]) {
    const [warning, ...others] = await warned(command);
    expect(warning).toContain("--output pipe");
    expect(others).toEqual([]);
  }
  expect(await warned(["noisy"], { PATH: `${box.directory}:${process.env["PATH"]}` })).toHaveLength(1);
  const quiet = script("quiet", "#!/bin/sh\n# not > /dev/stderr\necho x >>/dev/stderr; echo y >&2\n");
  for (const command of [
    [quiet],
    ["sh", "-c", "echo x | tee -a /dev/stdout"],
    ["cat", "/dev/null"],
    ["true"],
  ])
    expect(await warned(command)).toEqual([]);
  const run = await box.run(["run", "--run-key", "k", "--", path]);
  expect(run.stderr).toContain(`orchesjob: ${path} names /dev/stderr`);
});
