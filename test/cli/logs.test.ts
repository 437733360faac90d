/** logs prints exactly the bytes that the command wrote, however many. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expectFailure } from "../support/expect.ts";
import { Gate } from "../support/gate.ts";
import { finishedJob } from "../support/jobs.ts";
import { BINARY, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { shell } from "../support/shell.ts";

setDefaultTimeout(TIMEOUT_MS);

test("logs prints stdout by default, and each stream by itself", async () => {
  await using box = new Sandbox();
  const job = await box.json(["start", "--run-key", "k", "--sync", "--", "sh", "-c", "echo o; echo e >&2"]);
  for (const selector of [
    ["--run-key", "k"],
    ["--job-id", job.job_id],
  ]) {
    expect(await box.run(["logs", ...selector])).toMatchObject({ code: 0, stdout: "o\n", stderr: "" });
    expect((await box.run(["logs", ...selector, "--stream", "stdout"])).stdout).toBe("o\n");
    expect((await box.run(["logs", ...selector, "--stream", "stderr"])).stdout).toBe("e\n");
  }
});

test("logs prints the newest job of a run key, and an older one by its id", async () => {
  await using box = new Sandbox();
  const first = await box.json(["start", "--run-key", "k", "--sync", "--", "echo", "first"]);
  await box.json(["start", "--run-key", "k", "--sync", "--", "echo", "second"]);
  expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe("second\n");
  expect((await box.run(["logs", "--job-id", first.job_id])).stdout).toBe("first\n");
});

test("every byte arrives as it was written", async () => {
  await using box = new Sandbox();
  const bytes = new Uint8Array(3_000_017);
  // All byte values, including NUL, CR and invalid UTF-8, in a pattern that does not repeat at any chunk size.
  for (let index = 0; index < bytes.length; index++) bytes[index] = (index * 31 + (index >> 8)) & 0xff;
  const input = join(box.directory, "input");
  writeFileSync(input, bytes);
  await box.json(["start", "--run-key", "k", "--sync", "--", "cat", input]);
  const piped = box.spawn([BINARY, "logs", "--run-key", "k"]);
  expect(Bun.hash(await new Response(piped.stdout).bytes())).toBe(Bun.hash(bytes));
  expect(await piped.exited).toBe(0);
  // Appends to a file that already has content.
  const output = join(box.directory, "output");
  await shell(box, `printf before >"$1"; "$0" logs --run-key k >>"$1"`, { words: [output] });
  expect(Bun.hash(readFileSync(output))).toBe(Bun.hash(Buffer.concat([Buffer.from("before"), bytes])));
});

test("logs prints 200 MB without holding them in memory", async () => {
  await using box = new Sandbox();
  const megabytes = 200;
  const script = `truncate -s ${megabytes}M /proc/self/fd/1; echo end`;
  await box.json(["start", "--run-key", "large", "--sync", "--", "sh", "-c", script]);
  await box.json(["start", "--run-key", "small", "--sync", "--", "echo", "end"]);
  const read = async (key: string) => {
    const child = box.spawn([BINARY, "logs", "--run-key", key]);
    let length = 0;
    let last = new Uint8Array();
    for await (const chunk of child.stdout) {
      length += chunk.length;
      last = chunk;
    }
    expect(await child.exited).toBe(0);
    expect(Buffer.from(last).toString()).toEndWith("end\n");
    return { length, peak: child.resourceUsage()!.maxRSS };
  };
  const small = await read("small");
  const large = await read("large");
  expect(small.length).toBe(4);
  expect(large.length).toBe(megabytes * 1024 * 1024 + 4);
  expect(large.peak - small.peak).toBeLessThan(32 * 1024 * 1024);
});

test("logs of a running job prints what it has written so far", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const [sh, c, wait, ...words] = gate.command;
  const command = [sh!, c!, `echo early; echo ready >&2; ${wait}; echo late`, ...words];
  await box.json(["start", "--run-key", "k", "--", ...command]);
  await until("the command has come so far", async () => {
    return (await box.run(["logs", "--run-key", "k", "--stream", "stderr"])).stdout === "ready\n";
  });
  expect(await box.run(["logs", "--run-key", "k"])).toMatchObject({ code: 0, stdout: "early\n", stderr: "" });
  gate.open();
  await finishedJob(box, "k");
  expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe("early\nlate\n");
});

test("logs reports a deleted log as an error, not as an empty one", async () => {
  await using box = new Sandbox();
  const job = await box.json(["start", "--run-key", "k", "--sync", "--", "echo", "x"]);
  unlinkSync(job.stdout_file);
  expectFailure(await box.run(["logs", "--run-key", "k"]), 4, job.stdout_file);
});

describe("the reader", () => {
  test.each(["yes | head -c 3000000", "echo one line"])(
    "that takes one line and goes is no error: %s",
    async (script) => {
      await using box = new Sandbox();
      await box.json(["start", "--run-key", "k", "--sync", "--", "sh", "-c", script]);
      const result = await shell(box, `{ "$0" logs --run-key k; echo "code $?" >&2; } | head -n 1`);
      expect(result.stdout).toMatch(/^(y|one line)\n$/);
      expect(result.stderr).toBe("code 0\n");
    },
  );

  test("that is gone before the first byte causes no error", async () => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "k", "--sync", "--", "sh", "-c", "yes | head -c 300000"]);
    const result = await shell(
      box,
      `mkfifo fifo; exec 4<>fifo; exec 5>fifo; exec 4<&-; "$0" logs --run-key k >&5; echo "code $?"`,
    );
    expect(result).toMatchObject({ code: 0, stdout: "code 0\n", stderr: "" });
  });
});
