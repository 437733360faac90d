/** A script without `#!` is run by /bin/sh, as execvp(3), shells, env and cron do it. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/**
 * Makes `tools/bare` in the working directory; in PATH, `tools` comes after a directory with a file of the same name
 * that is not executable.
 */
function makeTools(box: Sandbox): { readonly PATH: string } {
  for (const name of ["tools", "first"]) mkdirSync(join(box.directory, name));
  const script = `for word; do echo "$word"; done\necho "in $PWD by $0"\nexit 3\n`;
  writeFileSync(join(box.directory, "tools/bare"), script, { mode: 0o755 });
  writeFileSync(join(box.directory, "first/bare"), "not for running\n", { mode: 0o644 });
  return { PATH: `${box.directory}/first:tools:/usr/bin:/bin` };
}

test.each([
  [
    "by an absolute path",
    (box: Sandbox) => join(box.directory, "tools/bare"),
    (box: Sandbox) => join(box.directory, "tools/bare"),
  ],
  ["by a relative path", () => "tools/bare", () => "tools/bare"],
  ["by PATH", () => "bare", () => "tools/bare"],
] as const)("a script without #! runs %s", async (_, file, name) => {
  await using box = new Sandbox();
  const env = makeTools(box);
  const command = [file(box), "two words", "-x", ""];
  const job = await box.json(["start", "--run-key", "k", "--sync", "--", ...command], { env });
  expect(job).toMatchObject({ status: "FAILED", exit_code: 3, error: null, command });
  expect(readFileSync(job.stdout_file, "utf8")).toBe(
    `two words\n-x\n\nin ${box.directory} by ${name(box)}\n`,
  );
});

test("an empty script does nothing, and succeeds", async () => {
  await using box = new Sandbox();
  writeFileSync(join(box.directory, "empty"), "", { mode: 0o755 });
  expect(await box.json(["start", "--run-key", "k", "--sync", "--", "./empty"])).toMatchObject({
    status: "SUCCEEDED",
    exit_code: 0,
  });
});

test("a file with a NUL byte in its first line is not a script", async () => {
  await using box = new Sandbox();
  writeFileSync(join(box.directory, "garbage"), "echo \0 executed\n", { mode: 0o755 });
  const job = await box.json(["start", "--run-key", "k", "--sync", "--", "./garbage"]);
  expect(job).toMatchObject({
    status: "FAILED",
    exit_code: -1,
    failure: "not_executable",
    error: 'cannot execute "./garbage": it is neither a program for this system nor a script',
  });
});

test("a first line that is too long for the kernel is a comment to the shell", async () => {
  await using box = new Sandbox();
  const script = `${"# ".repeat(3_000)}\necho executed\n`;
  writeFileSync(join(box.directory, "long"), script, { mode: 0o755 });
  const job = await box.json(["start", "--run-key", "k", "--sync", "--", "./long"]);
  expect(readFileSync(job.stdout_file, "utf8")).toBe("executed\n");
});
