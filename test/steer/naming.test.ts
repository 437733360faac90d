/** How jobs are named: a run key as a word, short options, an earlier run of a key, a job id as a word, and labels. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { edit } from "../support/database.ts";
import { expectFailure } from "../support/expect.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const finish = (box: Sandbox, key: string, text: string, ...options: readonly string[]) =>
  box.json(["start", "-k", key, "--sync", ...options, "--", "echo", text]);

async function printed(box: Sandbox, words: readonly string[]): Promise<string> {
  const { stdout, stderr, code } = await box.run(words);
  expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
  return stdout;
}

describe("a run key as a word", () => {
  test("names the same job as --run-key, before the options, between them, and after --", async () => {
    await using box = new Sandbox();
    const { job_id: id } = await finish(box, "nightly", "one");
    for (const words of [
      ["status", "nightly"],
      ["status", "--format", "json", "nightly"],
      ["status", "--", "nightly"],
      ["wait", "nightly", "--timeout", "5"],
      ["result", "nightly"],
    ])
      expect(await box.json(words)).toMatchObject({ job_id: id });
    expect(await box.json<JobAnswer[]>(["status", "nightly", "--all"])).toMatchObject([{ job_id: id }]);
    expect(await printed(box, ["logs", "nightly"])).toBe("one\n");
    const again = await box.json(["rerun", "nightly", "--sync"]);
    expect(again).toMatchObject({ run_key: "nightly", rerun_of_job_id: id });
    expect(await box.json(["unlock", "nightly"])).toMatchObject({ run_key: "nightly" });
  });

  test("cancel ends the job of the key", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await startWaiting(box, "k", gate);
    expect(await box.json(["cancel", "k"])).toMatchObject({ run_key: "k", status: "CANCELLED" });
  });

  test("that nobody has used is not found, and the message has the word", async () => {
    await using box = new Sandbox();
    await finish(box, "k", "one");
    for (const word of ["other", "k#2", "01a20fd5-7297-7304-a49c-f362d95bc29b"])
      expectFailure(await box.run(["cancel", word]), 3, `no run key or job id ${JSON.stringify(word)}`);
  });

  test("may begin with a dash after --, and be a dash", async () => {
    await using box = new Sandbox();
    for (const key of ["-f", "-", "--"]) {
      await box.json(["start", `--run-key=${key}`, "--sync", "true"]);
      expect(await box.json(["status", "--", key])).toMatchObject({ run_key: key });
    }
  });
});

test("short options mean their long forms: apart, attached, and after =", async () => {
  await using box = new Sandbox();
  await box.json(["start", "-k", "k", "--sync", "--", "printf", "a\\nb\\nc\\n"]);
  for (const words of [
    ["logs", "-k", "k", "-n", "2"],
    ["logs", "-kk", "-n2"],
    ["logs", "-k=k", "-n=2"],
    ["logs", "k", "-f", "-n", "2"],
  ])
    expect(await printed(box, words)).toBe("b\nc\n");
  expect(await printed(box, ["run", "-k", "r", "--", "echo", "-k"])).toBe("-k\n");
  // The options of start end at the command, whose own are none of ours.
  expect(await box.json(["start", "-k", "own", "--sync", "echo", "-k", "x"])).toMatchObject({
    run_key: "own",
    command: ["echo", "-k", "x"],
  });
});

describe("an earlier run of a key", () => {
  test("is named by its number: --attempt N, or KEY#N as a word", async () => {
    await using box = new Sandbox();
    for (const text of ["one", "two", "three"]) await finish(box, "k", text);
    for (const words of [["k#2"], ["k", "--attempt", "2"], ["-k", "k", "--attempt", "2"]]) {
      expect(await printed(box, ["logs", ...words])).toBe("two\n");
      expect(await box.json(["status", ...words])).toMatchObject({ attempt_no: 2 });
    }
    expect(await printed(box, ["logs", "k"])).toBe("three\n");
    expectFailure(await box.run(["logs", "k", "--attempt", "4"]), 3, 'no job 4 of run key "k"');
    const hint = 'the newest job of "k" is number 3; all of them: orchesjob status --run-key k --all\n';
    for (const words of [["k#7"], ["k", "--attempt", "7"]])
      expect((await box.run(["wait", ...words])).stderr).toEndWith(hint);
    expect((await box.run(["wait", "other#7"])).stderr).not.toContain("newest");
    expectFailure(await box.run(["logs", "k#0"]), 3, 'no run key or job id "k#0"');
  });

  test("yields to a run key of that very name, and --run-key never means one", async () => {
    await using box = new Sandbox();
    for (const text of ["one", "two"]) await finish(box, "k", text);
    expectFailure(await box.run(["logs", "-k", "k#1"]), 3, 'no job of run key "k#1"');
    await finish(box, "k#1", "another key");
    expect(await printed(box, ["logs", "k#1"])).toBe("another key\n");
    expect(await printed(box, ["logs", "k", "--attempt", "1"])).toBe("one\n");
    expect(await printed(box, ["logs", "k#1#1"])).toBe("another key\n");
    expect(await printed(box, ["logs", "k#1", "--attempt", "1"])).toBe("another key\n");
  });

  test("is never the one that cancel ends while a newer one runs", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await finish(box, "k", "one");
    const running = await startWaiting(box, "k", gate);
    expectFailure(await box.run(["cancel", "k#1"]), 4, "it is already SUCCEEDED");
    expect(await box.json(["status", "k"])).toMatchObject({ job_id: running.job_id, status: "RUNNING" });
  });
});

describe("a job id as a word", () => {
  test("is understood, whole or its beginning", async () => {
    await using box = new Sandbox();
    const { job_id: id } = await finish(box, "k", "one");
    expect(await printed(box, ["logs", id])).toBe("one\n");
    expect(await printed(box, ["logs", id.slice(0, 13)])).toBe("one\n");
    // Shorter, it is a mistyped run key.
    expectFailure(await box.run(["logs", id.slice(0, 7)]), 3, "no run key or job id");
  });

  test("yields to a run key of that name", async () => {
    await using box = new Sandbox();
    const { job_id: id } = await finish(box, "k", "one");
    await finish(box, id, "the key");
    await finish(box, id.slice(0, 13), "a short key");
    expect(await printed(box, ["logs", id])).toBe("the key\n");
    expect(await printed(box, ["logs", id.slice(0, 13)])).toBe("a short key\n");
    expect(await printed(box, ["logs", "--job-id", id])).toBe("one\n");
  });

  test("that several jobs share is refused with their ids", async () => {
    await using box = new Sandbox();
    const { job_id: id } = await finish(box, "k", "one");
    const twin = `${id.slice(0, 13)}-7000-8000-000000000000`;
    await finish(box, "k", "two");
    edit(box, `update job_records set job_id = '${twin}' where attempt_no = 2`);
    const result = await box.run(["status", id.slice(0, 13)]);
    expectFailure(result, 2, "several job ids begin with");
    for (const each of [id, twin]) expect(result.stderr).toContain(each);
  });
});

describe("list --label", () => {
  const keys = async (box: Sandbox, ...words: readonly string[]) =>
    (await box.json<JobAnswer[]>(["list", ...words])).map((job) => job.run_key);

  test("selects jobs that have all the labels, together with the other filters", async () => {
    await using box = new Sandbox();
    await finish(box, "none", "x");
    await finish(box, "a", "x", "--label", "team=billing");
    await finish(box, "b", "x", "--label", "team=billing", "--label", "stage=test");
    await finish(box, "c", "x", "--label", "team=sales", "--label", "stage=test");
    expect(await keys(box, "--label", "team=billing")).toEqual(["b", "a"]);
    expect(await keys(box, "--label", "team=billing", "--label=stage=test")).toEqual(["b"]);
    expect(await keys(box, "--label", "stage=test", "--run-key-prefix", "c")).toEqual(["c"]);
    expect(await keys(box, "--label", "team=billing", "--status", "failed")).toEqual([]);
    expect(await keys(box, "--label", "team=billing", "-n", "1")).toEqual(["b"]);
    expect(await keys(box, "--label", "team=bill")).toEqual([]);
    expect(await keys(box, "--label", "owner=")).toEqual([]);
  });

  test("takes names and values literally", async () => {
    await using box = new Sandbox();
    for (const [key, label] of [
      ["dots", "a.b/c-d=1"],
      ["nested", "a=1"],
      ["empty", "e="],
      ["text", "n=5"],
      ["odd", 'q=it\'s "x" = $.y'],
      ["proto", "__proto__=x"],
    ] as const)
      await finish(box, key, "x", "--label", label);
    expect(await keys(box, "--label", "a.b/c-d=1")).toEqual(["dots"]);
    expect(await keys(box, "--label", "a=1")).toEqual(["nested"]);
    expect(await keys(box, "--label", "e=")).toEqual(["empty"]);
    expect(await keys(box, "--label", "n=5")).toEqual(["text"]);
    expect(await keys(box, "--label", "n=5.0")).toEqual([]);
    expect(await keys(box, "--label", 'q=it\'s "x" = $.y')).toEqual(["odd"]);
    expect(await keys(box, "--label", "__proto__=x")).toEqual(["proto"]);
  });

  test("passes over a job whose labels somebody has damaged", async () => {
    await using box = new Sandbox();
    await finish(box, "good", "x", "--label", "a=1");
    await finish(box, "bad", "x", "--label", "a=1");
    edit(box, `update job_records set labels = '{"a": "1"' where run_key = 'bad'`);
    expect(await keys(box, "--label", "a=1")).toEqual(["good"]);
  });
});
