/** `_complete`, which the completion scripts call while somebody types: what it offers, and that it changes nothing. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { edit } from "../support/database.ts";
import { unpackPython } from "../support/python-home.ts";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";
import { snapshot } from "../support/snapshot.ts";

setDefaultTimeout(TIMEOUT_MS);

const ask = (box: Sandbox, ...words: readonly string[]) => box.run(["_complete", ...words]);
/** The lines, without how long ago a job was started. */
const withoutAge = async (...asked: Parameters<typeof ask>) =>
  (await ask(...asked)).stdout.replaceAll(/, started \d+s ago$/gm, ", started");
const NOTHING = { stdout: "", stderr: "", code: 0 };

test("run keys by their prefix, each once and in order, with status and age of the newest job", async () => {
  await using box = new Sandbox();
  for (const key of ["b", "a%", "a%1", "a_", "a%", "日本"])
    await box.json(["start", "--run-key", key, "--sync", "true"]);
  await box.json(["start", "--run-key", "a%", "--sync", "false"]);
  const line = (key: string, status = "SUCCEEDED") => `${key}\t${status}, started\n`;
  expect(await withoutAge(box, "run-key")).toBe(
    [line("a%", "FAILED"), ...["a%1", "a_", "b", "日本"].map((key) => line(key))].join(""),
  );
  expect(await withoutAge(box, "run-key", "a%")).toBe(line("a%", "FAILED") + line("a%1"));
  expect(await withoutAge(box, "run-key", "日")).toBe(line("日本"));
  expect(await ask(box, "run-key", "zzz")).toMatchObject(NOTHING);
});

test("job ids, newest first, with a description", async () => {
  await using box = new Sandbox();
  const first = await box.json(["start", "--run-key", "a b", "--sync", "true"]);
  const second = await box.json(["start", "--run-key", "c", "--sync", "false"]);
  const { stdout } = await ask(box, "job-id");
  expect(stdout).toBe(`${second.job_id}\tc FAILED\n${first.job_id}\ta b SUCCEEDED\n`);
  expect(await ask(box, "job-id", first.job_id)).toMatchObject({
    stdout: `${first.job_id}\ta b SUCCEEDED\n`,
  });
});

test("labels and their names by how many jobs have them, attempts after #, fields after a comma", async () => {
  await using box = new Sandbox();
  const labels = ["--label", "team=a=b c", "--label", "batch=1"];
  await box.json(["start", "-k", "k", "--sync", ...labels, "--", "false"]);
  await box.json(["start", "-k", "k", "--sync", ...labels.slice(0, 2), "--", "true"]);
  await box.json(["start", "-k", "k#2", "--sync", "--", "true"]);
  const stdout = async (...words: readonly string[]) => (await ask(box, ...words)).stdout;
  expect(await stdout("label")).toBe("batch=1\t1 job\nteam=a=b c\t2 jobs\n");
  expect(await stdout("label", "team=")).toBe("team=a=b c\t2 jobs\n");
  expect(await stdout("label-name", "b")).toBe("batch\t1 job\n");
  expect(await stdout("label", "zzz")).toBe("");
  // As a word, k#2 is the run key of that name.
  const words = (await stdout("key-word", "k#")).replaceAll(/, started \d+s ago$/gm, "");
  expect(words).toBe("k#2\tSUCCEEDED\nk#1\tFAILED\n");
  expect(await stdout("run-key", "k#1")).toBe("");
  expect(await stdout("field", "run_key,exit")).toMatch(/^run_key,exit_code\t\S.*\n$/);
  expect(await stdout("field", "exit_code,exit")).toBe("");
  expect(await stdout("field", "to")).toBe("took\tSeconds from start to end\n");
});

test("a bounded number, and nothing that would move a cursor or break a line", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--run-key", "k", "--sync", "true"]);
  edit(
    box,
    `with recursive n (i) as (select 1 union all select i + 1 from n where i < 1200)
     insert into job_records (job_id, run_key, attempt_no, status, command, cwd, started_at, finished_at, host)
     select 'job-' || i, 'many-' || i, 1, 'SUCCEEDED', '["true"]', '/', 1, 1, 'h' from n`,
  );
  edit(
    box,
    `insert into job_records (job_id, run_key, attempt_no, status, command, cwd, started_at, finished_at, host) values
     ('zzz', 'bad' || char(10) || 'line', 1, 'FAILED', '["true"]', '/', 1, 1, 'h'),
     ('zz/../z', 'bad' || char(27) || '[2J', 1, 'FAILED', '["true"]', '/', 1, 1, 'h')`,
  );
  expect((await ask(box, "run-key")).stdout.trimEnd().split("\n")).toHaveLength(998);
  expect(await ask(box, "run-key", "bad")).toMatchObject(NOTHING);
  const ids = (await ask(box, "job-id")).stdout.trimEnd().split("\n");
  expect(ids).toHaveLength(99);
  expect(ids[0]).toBe("zzz\tbad·line FAILED");
});

test("whatever is wrong, it prints nothing and makes nothing", async () => {
  await using box = new Sandbox();
  for (const words of [[], ["run-key"], ["job-id", "x"], ["something", "else"]])
    expect(await ask(box, ...words)).toMatchObject(NOTHING);
  expect(existsSync(box.home)).toBe(false);
  await box.json(["start", "--run-key", "k", "--sync", "true"]);
  edit(box, "pragma user_version = 99");
  expect(await ask(box, "run-key")).toMatchObject(NOTHING);
  await Bun.write(
    join(box.home, "orchesjob.db"),
    "not a database, but long enough to be read as one".repeat(50),
  );
  expect(await ask(box, "run-key")).toMatchObject(NOTHING);
});

test("completion does not upgrade a state directory of the Python orchesjob", async () => {
  await using box = new Sandbox();
  unpackPython(box, "1.1.0");
  const before = snapshot(box.home);
  expect(await ask(box, "run-key")).toMatchObject(NOTHING);
  expect(snapshot(box.home)).toEqual(before);
  expect(readFileSync(join(box.home, "orchesjob.db")).length).toBeGreaterThan(0);
});
