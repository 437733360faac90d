/** What comes from outside does nothing to the terminal of who reads a message: no control character, no turned direction. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/** CSI, in one character and in two; what turns the direction of writing; what ends a line. */
const HOSTILE = "\u009b31m\u001b[2J\u202eabc\u2066\u061c\u200f\u2028\u0085\u007f";
const HARMFUL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

/** One line, or more, of ours, in which something stands for each of them. */
function expectHarmless(stderr: string): void {
  expect(stderr).toMatch(/^(orchesjob: [^\n]+\n)+$/);
  expect(stderr).not.toMatch(HARMFUL);
  expect(stderr).toContain("·");
}

test.each([
  ["a command that is none", [HOSTILE]],
  ["an option that is none", ["list", `--${HOSTILE}`]],
  ["a value that is none", ["list", "--status", HOSTILE]],
  ["a run key that is not allowed", ["start", "--run-key", HOSTILE, "--", "true"]],
  ["a run key that is not there", ["status", "--run-key", "a\u202eb"]],
  ["an id that is not there", ["status", "--job-id", HOSTILE]],
  ["a program that is not there", ["run", "--run-key", "k", "--", `/${HOSTILE}`]],
  ["a directory that is not there", ["run", "--run-key", "k", "--cwd", `/${HOSTILE}`, "--", "true"]],
] as const)("%s", async (_, words) => {
  await using box = new Sandbox();
  const { code, stderr } = await box.run(words);
  expect(code).toBeGreaterThan(0);
  expectHarmless(stderr);
});

test("a state directory of such a name, and doctor's table of it", async () => {
  await using box = new Sandbox();
  const home = join(box.directory, HOSTILE);
  mkdirSync(home);
  chmodSync(home, 0o777);
  const env = { ORCHESJOB_HOME: home };
  expectHarmless((await box.run(["list"], { env })).stderr);
  const { stdout } = await box.run(["doctor", "--format", "table"], { env });
  expect(stdout).toContain("·");
  expect(stdout).not.toMatch(HARMFUL);
});

test("what is told besides: of a dry run, of a job that is left, of a reason", async () => {
  await using box = new Sandbox();
  const key = "a\u202eb\u2066";
  await box.json(["start", "--run-key", key, "--sync", "--", "true"]);
  const dry = await box.run(["clean", "--keep", "0", "--dry-run"]);
  expectHarmless(dry.stderr);
  expect(dry.stderr).toContain("(a·b·, SUCCEEDED)");
});

test("JSON on stdout has it as it is", async () => {
  await using box = new Sandbox();
  const command = ["echo", "\u009b\u202e\u001b"];
  await box.json(["start", "--run-key", "k", "--sync", "--", ...command]);
  expect((await box.json(["status", "--run-key", "k"])).command).toEqual(command);
});
