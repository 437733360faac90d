/** `attach --format json`: one bounded call that returns what is new. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { appendFileSync, readFileSync, truncateSync } from "node:fs";
import { encodeChunk } from "../../src/jobs/attach.ts";
import { openDatabase } from "../support/database.ts";
import { expectFailure } from "../support/expect.ts";
import { startBeforeRun } from "../support/hand-over.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { finishedJob } from "../support/jobs.ts";
import { BINARY, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const ATTACH = ["attach", "--run-key", "k", "--format", "json"] as const;

interface News {
  readonly status: string;
  readonly complete: boolean;
  readonly stdout: string;
  readonly stdout_encoding: string;
  readonly stdout_next: number;
  readonly stdout_more: boolean;
  readonly stderr: string;
  readonly stderr_encoding: string;
  readonly stderr_next: number;
}

const ask = (box: Sandbox, ...words: readonly string[]): Promise<News> => box.json([...ATTACH, ...words]);

/** The bytes of a stream in an answer. */
const bytesOf = ({ stdout, stdout_encoding }: News) =>
  Buffer.from(stdout, stdout_encoding === "base64" ? "base64" : "utf8");

/** Whether a process sleeps in poll(2) for more than ten seconds: it polls nothing. */
function sleepsLong(pid: number): boolean {
  const [call, , , timeout] = readFileSync(`/proc/${pid}/syscall`, "utf8").split(" ");
  // Other architectures have ppoll(2) alone, and the time is in memory.
  if (process.arch !== "x64") return readFileSync(`/proc/${pid}/wchan`, "utf8").includes("poll");
  return call === "7" && Number(timeout) > 10_000;
}

test("returns what came since the cursors, and where to go on", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `printf 'größe\n'; printf err >&2; ${gate.wait}; echo more; exit 3`;
  const job = await box.json(["start", "--run-key", "k", "--", "sh", "-c", script]);
  await until("all is written", () => readFileSync(job.stderr_file, "utf8") === "err");
  expect(await ask(box)).toMatchObject({
    job_id: job.job_id,
    status: "RUNNING",
    exit_code: null,
    stdout: "größe\n",
    stdout_encoding: "utf-8",
    stdout_from: 0,
    stdout_next: 8,
    stdout_more: false,
    stderr: "err",
    stderr_next: 3,
    complete: false,
  });
  const cursors = ["--stdout-from", "8", "--stderr-from", "3"];
  // Without --wait it does not wait.
  expect(await ask(box, ...cursors)).toMatchObject({
    stdout: "",
    stdout_next: 8,
    stderr: "",
    complete: false,
  });
  const waiting = box.spawn([BINARY, ...ATTACH, ...cursors, "--wait", "1h"]);
  await until("it sleeps", () => sleepsLong(waiting.pid));
  gate.open();
  const { code, stdout, stderr } = await box.finished(waiting);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(JSON.parse(stdout)).toMatchObject({
    stdout: "more\n",
    stdout_from: 8,
    stdout_next: 13,
    stderr_next: 3,
  });
  await finishedJob(box, "k");
  // The exit code is that of the call: that of the job is in the answer.
  expect(await ask(box, "--stdout-from", "13", "--stderr-from", "3", "--wait", "1h")).toMatchObject({
    status: "FAILED",
    exit_code: 3,
    stdout: "",
    complete: true,
  });
});

test("comes back at once when the job ends without a word", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await startWaiting(box, "k", gate);
  const waiting = box.spawn([BINARY, ...ATTACH, "--wait", "1h"]);
  await until("it sleeps", () => sleepsLong(waiting.pid));
  gate.open();
  const { stdout } = await box.finished(waiting);
  expect(JSON.parse(stdout)).toMatchObject({ status: "SUCCEEDED", stdout: "", complete: true });
});

test("sleeps until a command runs that is not launched yet", async () => {
  await using box = new Sandbox();
  const { worker } = await startBeforeRun(box, "k", ["echo", "now"]);
  expect(await ask(box)).toMatchObject({ status: "STARTING", stdout: "", complete: false });
  const calls = [
    [...ATTACH, "--wait", "1h"],
    ["attach", "k"],
  ].map((words) => box.spawn([BINARY, ...words]));
  await until("they sleep", () => calls.every(({ pid }) => sleepsLong(pid)));
  process.kill(worker, "SIGCONT");
  const [bounded, raw] = await Promise.all(calls.map((call) => box.finished(call)));
  expect(JSON.parse(bounded!.stdout)).toMatchObject({ stdout: "now\n" });
  expect(raw).toMatchObject({ code: 0, stdout: "now\n" });
});

test("comes back when the time is over", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await startWaiting(box, "k", gate);
  expect(await ask(box, "--wait", "0.1s")).toMatchObject({ status: "RUNNING", stdout: "", complete: false });
});

test("a log that is truncated during the wait is an error", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  appendFileSync(job.stdout_file, "12345");
  const waiting = box.spawn([BINARY, ...ATTACH, "--stdout-from", "5", "--wait", "1h"]);
  await until("it sleeps", () => sleepsLong(waiting.pid));
  truncateSync(job.stdout_file, 0);
  expectFailure(await box.finished(waiting), 4, /--stdout-from 5 is beyond the end .* which has 0 bytes/);
});

describe("call by call, every byte arrives as it was written", () => {
  const binary = new Uint8Array(5_000);
  for (let index = 0; index < binary.length; index++) binary[index] = (index * 31 + (index >> 8)) & 0xff;
  const text = new TextEncoder().encode("€uro 🎉 größer\0\r\n\ufeff".repeat(100));
  test.each([
    ["text", text, "4", false],
    ["text", text, "101", false],
    ["bytes of any value", binary, "997", true],
    ["text that ends within a character", text.subarray(0, 1), "64K", true],
    ["text and an incomplete character", text.subarray(0, text.length - 1), "64K", true],
    ["nothing", new Uint8Array(0), "4", false],
  ])("%s", async (_, content, maxBytes, hasBinary) => {
    await using box = new Sandbox();
    const input = `${box.directory}/input`;
    await Bun.write(input, content);
    await box.json(["start", "--sync", "--run-key", "k", "--", "cat", input]);
    const parts: Buffer[] = [];
    const encodings = new Set<string>();
    for (let next = 0; ;) {
      const news = await ask(box, "--stdout-from", String(next), "--max-bytes", maxBytes);
      parts.push(bytesOf(news));
      encodings.add(news.stdout_encoding);
      expect(news.stdout_next - next).toBe(bytesOf(news).length);
      expect(news.stdout_more).toBe(!news.complete);
      next = news.stdout_next;
      if (news.complete) break;
      expect(bytesOf(news).length).toBeGreaterThan(0);
      // Enough calls: those of the smallest size take long.
      if (parts.length === 20) break;
    }
    const received = Buffer.concat(parts);
    expect(received.equals(content.subarray(0, received.length))).toBe(true);
    if (parts.length < 20) expect(received.length).toBe(content.length);
    expect(encodings.has("base64")).toBe(hasBinary);
  });
});

test.each(["file", "pipe"])(
  "a loop of calls misses nothing of a job that writes meanwhile: --output %s",
  async (mode) => {
    await using box = new Sandbox();
    const script = `for i in $(seq 300); do echo "größe $i"; echo "e$i" >&2; done; head -c 5000 /dev/urandom; sleep 0.05; echo end`;
    const job = await box.json(["start", "--run-key", "k", "--output", mode, "--", "bash", "-c", script]);
    const received: Record<"stdout" | "stderr", Buffer[]> = { stdout: [], stderr: [] };
    for (let from = { stdout: 0, stderr: 0 }; ;) {
      const cursors = ["--stdout-from", String(from.stdout), "--stderr-from", String(from.stderr)];
      const news = await ask(box, ...cursors, "--wait", "1h", "--max-bytes", "1K");
      received.stdout.push(bytesOf(news));
      received.stderr.push(Buffer.from(news.stderr));
      from = { stdout: news.stdout_next, stderr: news.stderr_next };
      if (news.complete) break;
    }
    expect(Buffer.concat(received.stdout).equals(readFileSync(job.stdout_file))).toBe(true);
    expect(Buffer.concat(received.stderr).equals(readFileSync(job.stderr_file))).toBe(true);
  },
);

test("a job that is deleted during the wait is no longer found", async () => {
  await using box = new Sandbox();
  const { job, worker } = await startBeforeRun(box, "k", ["true"]);
  const waiting = box.spawn([BINARY, ...ATTACH, "--wait", "1h"]);
  await until("it sleeps", () => sleepsLong(waiting.pid));
  using database = openDatabase(box);
  database.run("delete from job_records where job_id = ?", [job.job_id]);
  process.kill(worker, "SIGCONT");
  expectFailure(await box.finished(waiting), 3, job.job_id);
});

test("a character whose rest has not come yet is left for the next call", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate, "printf '\\254'");
  appendFileSync(job.stdout_file, new Uint8Array([0x61, 0xe2, 0x82]));
  expect(await ask(box)).toMatchObject({ stdout: "a", stdout_encoding: "utf-8", stdout_next: 1 });
  // That it is there wakes nobody.
  const waiting = box.spawn([BINARY, ...ATTACH, "--stdout-from", "1", "--wait", "1h"]);
  await until("it sleeps", () => sleepsLong(waiting.pid));
  gate.open();
  const { stdout } = await box.finished(waiting);
  expect(JSON.parse(stdout)).toMatchObject({ stdout: "€", stdout_next: 4 });
});

test("a part is base64 only if it is not UTF-8", () => {
  const encode = (bytes: readonly number[], isLast = false) => encodeChunk(new Uint8Array(bytes), isLast);
  expect(encode([])).toEqual({ text: "", encoding: "utf-8", length: 0 });
  expect(encode([0xf0, 0x9f, 0x8e])).toEqual({ text: "", encoding: "utf-8", length: 0 });
  expect(encode([0x61, 0xc3])).toEqual({ text: "a", encoding: "utf-8", length: 1 });
  expect(encode([0x61, 0xc3], true)).toEqual({ text: "YcM=", encoding: "base64", length: 2 });
  expect(encode([0xff, 0xc3])).toEqual({ text: "/8M=", encoding: "base64", length: 2 });
  expect(encode([0x80, 0x80, 0x80, 0x80])).toMatchObject({ encoding: "base64", length: 4 });
  expect(encode([0xed, 0xa0, 0x80])).toMatchObject({ encoding: "base64", length: 3 });
});
