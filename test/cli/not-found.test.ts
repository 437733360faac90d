/** Looking up what does not exist: exit 3, a sentence, and nothing is created. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { expectFailure } from "../support/expect.ts";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const LOOKUPS: readonly (readonly string[])[] = [
  ["status", "--run-key", "none"],
  ["status", "--run-key", "none", "--all"],
  ["status", "--job-id", "none"],
  ["status", "--job-id", "../../etc/passwd"],
  ["status", "--job-id", ""],
  ["logs", "--run-key", "none"],
  ["logs", "--job-id", "none", "--stream", "stderr"],
  ["logs", "--job-id", "../orchesjob.db\n"],
];

describe.each(LOOKUPS.map((words) => [words]))("%j", (words) => {
  test("in a directory that does not exist", async () => {
    await using box = new Sandbox();
    expectFailure(await box.run(words), 3, box.home);
    expect(existsSync(box.home)).toBe(false);
  });

  test("in an empty directory", async () => {
    await using box = new Sandbox();
    mkdirSync(box.home, { mode: 0o700 });
    expectFailure(await box.run(words), 3, box.home);
    expect(readdirSync(box.home)).toEqual([]);
  });

  test("in a used directory", async () => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
    expectFailure(await box.run(words), 3, box.home);
  });
});

test("clean in a directory that does not exist has nothing to do, and creates nothing", async () => {
  await using box = new Sandbox();
  expect(await box.json<unknown>(["clean", "--before", "2100-01-01"])).toMatchObject({
    deleted: 0,
    errors: 0,
    stray_files: 0,
  });
  expect(existsSync(box.home)).toBe(false);
});

describe.each([
  [["list"], "[]\n"],
  [["list", "--format", "table"], /^RUN KEY/],
  [["status", "--running"], "[]\n"],
  [["clean", "--before", "2100-01-01"], /"deleted": 0/],
  [["clean", "--keep", "0", "--dry-run"], /"deleted": 0/],
  [["metrics", "--no-log-bytes"], /^# HELP/],
] as const)("%j, of many jobs", (words, answer) => {
  const expectAnswer = (stdout: string) =>
    typeof answer === "string" ? expect(stdout).toBe(answer) : expect(stdout).toMatch(answer);

  for (const [what, make] of [
    ["does not exist", () => undefined],
    ["has no database yet", (box: Sandbox) => mkdirSync(box.home, { mode: 0o700 })],
  ] as const) {
    test(`a directory that ${what} is named on stderr; the answer and exit 0 stay`, async () => {
      await using box = new Sandbox();
      make(box);
      const { code, stdout, stderr } = await box.run(words);
      expect(code).toBe(0);
      expectAnswer(stdout);
      expect(stderr).toBe(
        `orchesjob: the state directory ${box.home} ${what}, so there are no jobs in it; were they started with the same ORCHESJOB_HOME?\n`,
      );
    });
  }

  test("in a used directory an empty answer comes without a warning", async () => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
    await box.json(["clean", "--keep", "0"]);
    const { code, stdout, stderr } = await box.run(words);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expectAnswer(stdout);
  });
});

test("completion queries print no such warning while somebody types", async () => {
  await using box = new Sandbox();
  for (const kind of ["run-key", "job-id"])
    expect(await box.run(["_complete", kind])).toMatchObject({ code: 0, stdout: "", stderr: "" });
});
