/**
 * Text from outside cannot affect the terminal of a person who reads a message: no control characters, no
 * bidirectional overrides.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/** CSI in its one- and two-character forms, bidirectional controls, and line separators. */
const HOSTILE = "\u009b31m\u001b[2J\u202eabc\u2066\u061c\u200f\u2028\u0085\u007f";
const HARMFUL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

/** Expects orchesjob's own lines, with a replacement for each of these characters. */
function expectSanitized(stderr: string): void {
  expect(stderr).toMatch(/^(orchesjob: [^\n]+\n)+$/);
  expect(stderr).not.toMatch(HARMFUL);
  expect(stderr).toContain("·");
}

test.each([
  ["an unknown command", [HOSTILE]],
  ["an unknown option", ["list", `--${HOSTILE}`]],
  ["an invalid value", ["list", "--status", HOSTILE]],
  ["an invalid run key", ["start", "--run-key", HOSTILE, "--", "true"]],
  ["a run key without jobs", ["status", "--run-key", "a\u202eb"]],
  ["an unknown job id", ["status", "--job-id", HOSTILE]],
  ["a missing program", ["run", "--run-key", "k", "--", `/${HOSTILE}`]],
  ["a missing directory", ["run", "--run-key", "k", "--cwd", `/${HOSTILE}`, "--", "true"]],
] as const)("hostile characters are shown sanitized: %s", async (_, words) => {
  await using box = new Sandbox();
  const { code, stderr } = await box.run(words);
  expect(code).toBeGreaterThan(0);
  expectSanitized(stderr);
});

test("a state directory with a hostile name is shown sanitized, also in doctor's table", async () => {
  await using box = new Sandbox();
  const home = join(box.directory, HOSTILE);
  mkdirSync(home);
  chmodSync(home, 0o777);
  const env = { ORCHESJOB_HOME: home };
  expectSanitized((await box.run(["list"], { env })).stderr);
  const { stdout } = await box.run(["doctor", "--format", "table"], { env });
  expect(stdout).toContain("·");
  expect(stdout).not.toMatch(HARMFUL);
});

test("dry runs, jobs that are left alone and reasons are shown sanitized", async () => {
  await using box = new Sandbox();
  const key = "a\u202eb\u2066";
  await box.json(["start", "--run-key", key, "--sync", "--", "true"]);
  const dry = await box.run(["clean", "--keep", "0", "--dry-run"]);
  expectSanitized(dry.stderr);
  expect(dry.stderr).toContain("(a·b·, SUCCEEDED)");
});

test("JSON on stdout has the characters as they are", async () => {
  await using box = new Sandbox();
  const command = ["echo", "\u009b\u202e\u001b"];
  await box.json(["start", "--run-key", "k", "--sync", "--", ...command]);
  expect((await box.json(["status", "--run-key", "k"])).command).toEqual(command);
});
