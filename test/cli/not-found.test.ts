/** Looking up what is not there: exit 3, a sentence, and nothing is created. */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { expectFailure } from "../support/expect.ts";
import { Sandbox } from "../support/sandbox.ts";

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
  expect(await box.json<unknown>(["clean", "--before", "2100-01-01"])).toEqual({
    deleted: 0,
    errors: 0,
    stray_files: 0,
  });
  expect(existsSync(box.home)).toBe(false);
});
