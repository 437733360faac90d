/** `logs --tail` and `--follow`. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, truncateSync } from "node:fs";
import { Gate, startWaiting } from "../support/gate.ts";
import { finishedJob } from "../support/jobs.ts";
import { Reading } from "../support/reading.ts";
import { BINARY, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { shell } from "../support/shell.ts";

setDefaultTimeout(TIMEOUT_MS);

describe("--tail N prints the last N lines", () => {
  test.each([
    ["none", "a\nb\nc\n", 0, ""],
    ["one", "a\nb\nc\n", 1, "c\n"],
    ["some", "a\nb\nc\n", 2, "b\nc\n"],
    ["as many as there are", "a\nb\nc\n", 3, "a\nb\nc\n"],
    ["more than there are", "a\nb\nc\n", 1000, "a\nb\nc\n"],
    ["a last one without its end", "a\nb\nc", 2, "b\nc"],
    ["empty ones", "a\n\n\n", 2, "\n\n"],
    ["of nothing", "", 5, ""],
    ["of one without end", "abc", 1, "abc"],
  ])("%s", async (_, text, lines, expected) => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "k", "--sync", "--", "printf", "%s", text]);
    const result = await box.run(["logs", "--run-key", "k", "--tail", String(lines)]);
    expect(result).toEqual({ code: 0, signal: null, stdout: expected, stderr: "" });
  });

  test("of a huge log at once, also across read boundaries", async () => {
    await using box = new Sandbox();
    const job = await box.json(["start", "--run-key", "k", "--sync", "--", "seq", "200000"]);
    const lines = Array.from({ length: 100_000 }, (_, index) => `${index + 100_001}\n`);
    expect((await box.run(["logs", "--run-key", "k", "--tail", "100000"])).stdout).toBe(lines.join(""));
    // A hole of 20 GB after one line: a reader that begins at the start takes minutes.
    await box.json(["start", "--run-key", "k", "--sync", "--", "sh", "-c", "echo first"]);
    const { stdout_file: log } = await finishedJob(box, "k");
    truncateSync(log, 20_000_000_000);
    expect((await shell(box, `echo >> ${log}; echo last >> ${log}`)).code).toBe(0);
    expect((await box.run(["logs", "--run-key", "k", "--tail", "1"])).stdout).toBe("last\n");
    expect(job.stdout_file).not.toBe(log);
  });
});

describe("--follow", () => {
  test("prints what is there, then what comes, and ends with the job", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const script = `seq 3; echo aside >&2; ${gate.wait}; echo 4; ${gate.wait}; printf 5`;
    const job = await box.json(["start", "--run-key", "k", "--", "sh", "-c", script]);
    await until("three lines are there", () => readFileSync(job.stdout_file, "utf8") === "1\n2\n3\n");
    const follow = ["logs", "--run-key", "k", "--follow"];
    const [all, tail, none, stderr] = [
      follow,
      [...follow, "--tail", "1"],
      [...follow, "--tail", "0"],
      [...follow, "--stream", "stderr"],
    ].map((words) => box.spawn([BINARY, ...words]));
    const reading = new Reading(all!.stdout);
    const last = new Reading(tail!.stdout);
    expect(await reading.until("3\n")).toBe("1\n2\n3\n");
    expect(await last.until("3\n")).toBe("3\n");
    // By now the follower that shows no old output has looked.
    const errors = new Reading(stderr!.stdout);
    await errors.until("aside");
    gate.open(1);
    expect(await reading.until("4\n")).toBe("1\n2\n3\n4\n");
    gate.open();
    expect(await reading.all()).toBe("1\n2\n3\n4\n5");
    expect(await last.all()).toBe("3\n4\n5");
    expect(await errors.all()).toBe("aside\n");
    expect("1\n2\n3\n4\n5").toEndWith((await box.finished(none!)).stdout);
    for (const child of [all, tail, stderr]) expect(await child!.exited).toBe(0);
  });

  test("of a finished job prints its log and ends", async () => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "k", "--sync", "--", "seq", "3"]);
    const result = await box.run(["logs", "--run-key", "k", "--follow", "--tail", "2"]);
    expect(result).toMatchObject({ code: 0, stdout: "2\n3\n", stderr: "" });
  });

  test("of a command that could not be launched ends as well", async () => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "k", "--sync", "--", "no-such-command"]);
    expect(await box.run(["logs", "--run-key", "k", "--follow"])).toMatchObject({ code: 0, stdout: "" });
  });

  test("a reader that closes the pipe causes no error", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await startWaiting(box, "k", gate);
    const script = `{ "$0" logs --run-key k --follow; echo $? >&2; } | true`;
    const following = shell(box, script);
    gate.open();
    expect(await following).toMatchObject({ stdout: "" });
    await box.json(["start", "--run-key", "long", "--sync", "--", "seq", "100000"]);
    const head = `{ "$0" logs --run-key long --follow; echo $? >&2; } | head -1`;
    expect(await shell(box, head)).toMatchObject({ stdout: "1\n", stderr: "0\n" });
  });
});
