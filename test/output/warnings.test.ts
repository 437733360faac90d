/** A start warns if the command names its stdout or stderr, which are its log: reopening it truncates the log. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

test("start warns about a command or a script that reopens its own log, and about no other", async () => {
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
    // The shell runs it all the same.
    [script("bare", "echo x >/dev/stderr\n")],
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
    ["true", "/dev/stderr.txt", "/dev/fd/10", "/dev/stdout-x"],
    // A binary may contain such words.
    [script("program", "\x7fELF\0\n >/dev/stderr\n")],
  ])
    expect(await warned(command)).toEqual([]);
  const run = await box.run(["run", "--run-key", "k", "--", path]);
  expect(run.stderr).toContain(`orchesjob: ${path} names /dev/stderr`);
});

test("run and rerun also warn about a hook that reopens its own log, whatever the command's output is", async () => {
  await using box = new Sandbox();
  const notify = join(box.directory, "notify.sh");
  writeFileSync(notify, "#!/bin/sh\necho told > /dev/stdout\n", { mode: 0o755 });
  const started = (hook: string, ...words: readonly string[]) =>
    box.json(["start", "--sync", "--run-key", "k", "--on-exit", hook, ...words, "--", "true"]);
  for (const hook of ["echo x > /dev/stderr", notify, "cd . && ./notify.sh --all", "A=b 'notify.sh'"]) {
    const env = { PATH: `${box.directory}:${process.env["PATH"]}` };
    const words = ["start", "--sync", "--run-key", "k", "--output", "pipe", "--on-exit", hook, "--", "true"];
    const [warning, ...others] = (await box.json(words, { env })).warnings;
    expect(warning).toMatch(
      /^(the hook|\/.*notify\.sh, which the hook executes,) names \/dev\/std(err|out): .* truncates the hook's log, .*; write >&1 or >&2 in its place$/,
    );
    expect(others).toEqual([]);
  }
  for (const hook of ["echo x >> /dev/stderr", "echo x >&2", "cat > /dev/null", "echo ./notify.sh"])
    expect((await started(hook)).warnings).toEqual([]);
  await started(notify);
  expect((await box.json(["rerun", "--run-key", "k"])).warnings).toEqual([
    expect.stringContaining("which the hook executes"),
  ]);
  const run = await box.run(["run", "--run-key", "r", "--on-exit", "echo x > /dev/stderr", "--", "true"]);
  expect(run.stderr).toMatch(/^orchesjob: the hook names \/dev\/stderr: [^\n]*\n$/);
});
