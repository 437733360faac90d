/**
 * A bad value of any option: exit 2 (125 where the exit code is the job's), and one sentence with the option and the
 * value.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { expectFailure } from "../support/expect.ts";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const DURATIONS = [
  "0",
  "0s",
  "-1s",
  "5 minutes",
  "",
  "1e3",
  "1.5h",
  "1w",
  "s",
  "1h30",
  "30m1h",
  "1h1h",
  "1.5h30m",
  "s1",
  " 1s",
  "999999999999d",
  "٣",
];

const REFUSED: readonly [command: string, option: string, values: readonly string[]][] = [
  ["start", "--timeout", DURATIONS],
  ["wait", "--timeout", DURATIONS],
  ["unlock", "--ttl", DURATIONS],
  ["start", "--start-timeout", ["x", "-1", "", "1w", "1e3", "Infinity", "NaN", "36601d"]],
  ["cancel", "--grace-seconds", ["x", "-1", "", "5 s", "99999999999"]],
  ["cancel", "--reason", [""]],
  ["list", "--limit", ["-1", "0", "x", "", "1.5", "1e3", "9999999999999999"]],
  ["list", "--status", ["NOPE", "fail", "", "FAILED,LOST", "ＦＡＩＬＥＤ"]],
  ["list", "--format", ["xml", "", "JSON"]],
  ["ps", "--format", ["xml"]],
  ["ps", "--limit", ["0", "x"]],
  ["ps", "--label", ["x", "=x"]],
  ["status", "--format", ["xml"]],
  ["list", "--since", ["yesterday", "", "2026-13-01", "12:00", "90", "36601d", "1h30"]],
  ["list", "--until", ["tomorrow"]],
  ["clean", "--before", ["x"]],
  ["clean", "--older-than", DURATIONS],
  ["clean", "--keep", ["-1", "x", "", "1.5"]],
  ["clean", "--max-log-bytes", ["5X", "-1", "", "5g", "5GB", "1.5G", "9000000000G"]],
  ["logs", "--tail", ["x", "-1", "", "1.5"]],
  ["logs", "--stream", ["all", ""]],
  ["logs", "--since", ["yesterday", "", "12:00", "90", "36601d"]],
  ["attach", "--stdout-from", ["-1", "x", "", "1.5", "64K"]],
  ["attach", "--stderr-from", ["-1"]],
  ["attach", "--max-bytes", ["0", "3", "17M", "64k", "x", ""]],
  ["attach", "--wait", ["x", "-1", "", "1w", "36601d"]],
  ["result", "--max-bytes", ["-1", "x", "64k", ""]],
  ["start", "--label", ["x", "=x", "", "a b=x", "1=x", "é=x"]],
  ["start", "--env", ["=x", "X", ""]],
  ["start", "--request-id", [""]],
  ["start", "--cwd", [""]],
  ["start", "--if-succeeded", ["x", "", "RETURN"]],
  ["start", "--if-failed", ["retry"]],
  ["start", "--if-lost", ["retry"]],
  ["start", "--retries", ["-1", "x", "", "1.5", "1001", "1e2"]],
  ["start", "--retry-delay", ["x", "-1", "", "1w", "36601d"]],
  ["start", "--retry-max-delay", DURATIONS],
  ["start", "--retry-backoff", ["0", "0.5", "x", "", "101", "-2", "1e1"]],
  ["start", "--retry-on", ["0", "256", "x", "", "75,", "timeouts", "-9", "75 timeout"]],
  ["start", "--max-log-bytes", ["5X", "-1", "", "4095", "3K", "1.5G"]],
  ["start", "--on-log-limit", ["stop", ""]],
  ["start", "--nice", ["20", "x", "", "1.5", "100"]],
  ["start", "--io-class", ["x", "", "best-effort:8", "idle:1", "Idle"]],
  ["rerun", "--reason", [""]],
];

/** What the command needs besides the option under test. */
const NEEDS: Record<string, { readonly options: readonly string[]; readonly command?: readonly string[] }> = {
  start: { options: ["--run-key", "k"], command: ["--", "touch", "ran"] },
  wait: { options: ["--run-key", "k"] },
  unlock: { options: ["--run-key", "k"] },
  cancel: { options: ["--run-key", "k"] },
  rerun: { options: ["--run-key", "k"] },
  logs: { options: ["--run-key", "k"] },
  attach: { options: ["--run-key", "k", "--format", "json"] },
  result: { options: ["--run-key", "k"] },
  status: { options: ["--run-key", "k"] },
  list: { options: [] },
  ps: { options: [] },
  clean: { options: [] },
};

describe.each(REFUSED)("%s %s", (command, option, values) => {
  test(`${values.map((value) => JSON.stringify(value)).join(" ")}: exit 2, and nothing is done`, async () => {
    await using box = new Sandbox();
    const needs = NEEDS[command]!;
    for (const value of values) {
      // The parser treats both forms alike, so each value is tried in one of them.
      const given = values.indexOf(value) % 2 === 0 ? [option, value] : [`${option}=${value}`];
      const result = await box.run([command, ...needs.options, ...given, ...(needs.command ?? [])]);
      expectFailure(result, 2, option);
      if (value !== "") expect(result.stderr).toContain(JSON.stringify(value));
    }
    expect(existsSync(box.home)).toBe(false);
  });
});

test("a duration that is too long is refused with the longest, which is accepted", async () => {
  await using box = new Sandbox();
  for (const words of [
    ["start", "--run-key", "k", "--timeout", "36600d1s", "--", "true"],
    ["start", "--run-key", "k", "--start-timeout", "3162240001", "--", "true"],
    ["cancel", "--run-key", "k", "--grace-seconds", "999999999999999h"],
    ["unlock", "--run-key", "k", "--ttl", "36601d"],
    ["list", "--since", "878401h"],
    ["clean", "--older-than", "36601d"],
  ])
    expectFailure(await box.run(words), 2, "must be at most 36600d (100 years)");
  const longest = ["--timeout", "36600d", "--start-timeout", "36600d"];
  expect(await box.json(["start", "--run-key", "k", "--sync", ...longest, "--", "true"])).toMatchObject({
    status: "SUCCEEDED",
    timeout_seconds: 3_162_240_000,
  });
});

test.each([
  ["1h30m", 5_400],
  ["2d3h4m5.5s", 183_845.5],
  ["0.25", 0.25],
  ["90.5s", 90.5],
  ["007m", 420],
])("--timeout %s is %d seconds", async (text, seconds) => {
  await using box = new Sandbox();
  const words = ["start", "--run-key", "k", "--sync", "--timeout", text, "--start-timeout", "1m30s"];
  expect(await box.json([...words, "--", "true"])).toMatchObject({ timeout_seconds: seconds });
});

const CONTRADICTIONS: readonly [words: readonly string[], message: string][] = [
  [["start", "--run-key", "k", "--strict", "--if-lost", "rerun", "--", "true"], "--strict"],
  [["list", "--watch"], "terminal"],
  [["status", "--running", "--run-key", "k"], "--running"],
  [["status", "--running", "--all"], "--running"],
  [["rerun", "--run-key", "k", "--job-id", "j"], "not both"],
  [["rerun"], "--run-key KEY or --job-id ID is required"],
  [["wait"], "--run-key KEY or --job-id ID is required"],
  [["result", "--run-key", "k", "--job-id", "j"], "not both"],
  [["unlock"], "--run-key KEY is required"],
  [["unlock", "--run-key", "k", "--job-id", "j"], "no option --job-id"],
  [["list", "extra"], 'no "extra"'],
  [["start", "--run-key", "k", "--request-id", "r".repeat(1025), "--", "true"], "1025 bytes"],
  [["start", "--run-key", "k", "--label", `a=${"b".repeat(5000)}`, "--", "true"], "4096 bytes"],
];

test.each(CONTRADICTIONS)("%p: exit 2", async (words, message) => {
  await using box = new Sandbox();
  expectFailure(await box.run(words), 2, message);
  expect(existsSync(box.home)).toBe(false);
});

describe("where the exit code is the job's, a bad value is 125", () => {
  test.each([
    [["run", "--run-key", "k", "--timeout", "0", "--", "touch", "ran"], "--timeout"],
    [["run", "--run-key", "k", "--env", "=x", "--", "touch", "ran"], "--env"],
    [["run", "--run-key", "k"], "command is required"],
    [["run", "--", "touch", "ran"], "--run-key"],
    [["run", "--run-key", "k", "--sync", "--", "touch", "ran"], "--sync"],
    [
      ["start", "--run-key", "k", "--sync", "--exit-status", "--timeout", "0", "--", "touch", "ran"],
      "--timeout",
    ],
    [["start", "--run-key", "k", "--exit-status", "--", "touch", "ran"], "--sync"],
    [["wait", "--run-key", "k", "--exit-status", "--timeout", "0"], "--timeout"],
    [["attach", "k", "--format", "table"], '--format must be raw or json, not "table"'],
    [["attach", "k", "--stdout-from", "x"], "--stdout-from"],
  ] as const)("%p", async (words, message) => {
    await using box = new Sandbox();
    expectFailure(await box.run(words), 125, message);
    expect(existsSync(box.home)).toBe(false);
  });

  test("and --exit-status after the command belongs to the command", async () => {
    await using box = new Sandbox();
    const words = ["start", "--run-key", "", "--", "echo", "--exit-status"];
    expectFailure(await box.run(words), 2, "run key is empty");
  });
});
