/** `result`: how a job ended and what it wrote, in one answer. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { rmSync, truncateSync } from "node:fs";
import { expectFailure } from "../support/expect.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { readProc } from "../support/processes.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

interface ResultAnswer extends JobAnswer {
  readonly stdout: string;
  readonly stdout_truncated: boolean;
  readonly stderr: string;
  readonly stderr_truncated: boolean;
}

async function resultOf(box: Sandbox, script: string, ...more: readonly string[]): Promise<ResultAnswer> {
  await box.json(["start", "--run-key", "k", "--sync", "--", "sh", "-c", script]);
  return box.json(["result", "--run-key", "k", ...more]);
}

test("the job as status prints it, and both streams whole", async () => {
  await using box = new Sandbox();
  const answer = await resultOf(box, `printf 'a\\n"b"\\t\\033é'; echo err >&2; exit 3`);
  expect(answer).toEqual({
    ...(await box.json(["status", "--run-key", "k"])),
    ...{ stdout: 'a\n"b"\t\u001bé', stdout_truncated: false, stderr: "err\n", stderr_truncated: false },
  });
  expect(answer.exit_code).toBe(3);
});

test("of a long stream the last 64 KiB", async () => {
  await using box = new Sandbox();
  const answer = await resultOf(box, "seq 100000; seq 9 >&2");
  const all = Array.from({ length: 100_000 }, (_, index) => `${index + 1}\n`).join("");
  expect(answer.stdout).toBe(all.slice(-65_536));
  expect(answer).toMatchObject({ stdout_truncated: true, stderr_truncated: false });
});

test.each([
  [0, "", true],
  [1, "\n", true],
  [9, "23456789\n", false],
  [10, "123456789\n", false],
  [1_000_000, "123456789\n", false],
] as const)("--max-bytes %d", async (max, text) => {
  await using box = new Sandbox();
  const answer = await resultOf(box, "echo 123456789", "--max-bytes", String(max));
  expect(answer.stdout).toBe(text);
  expect(answer.stdout_truncated).toBe(max < 10);
  expect(answer).toMatchObject({ stderr: "", stderr_truncated: false });
});

test("bytes that are not text leave the answer readable, and a byte order mark stays", async () => {
  await using box = new Sandbox();
  const answer = await resultOf(box, `printf '\\357\\273\\277a\\377\\000b'; printf '\\357\\273\\277c' >&2`);
  expect([answer.stdout, answer.stderr]).toEqual(["\uFEFFa\uFFFD\0b", "\uFEFFc"]);
});

test("of a command that could not be launched: empty streams, and the error", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--run-key", "k", "--sync", "--", "no-such-command"]);
  const answer = await box.json<ResultAnswer>(["result", "--run-key", "k"]);
  expect(answer).toMatchObject({ stdout: "", stderr: "", exit_code: -1, status: "FAILED" });
  expect(answer.error).toContain("no-such-command");
});

test("not finished: exit 4, with the command that waits; no such job: exit 3", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  expectFailure(await box.run(["result", "--run-key", "k"]), 3, "no job of run key");
  const job = await startWaiting(box, "k", gate);
  expectFailure(await box.run(["result", "--run-key", "k"]), 4, `orchesjob wait --job-id ${job.job_id}`);
  gate.open();
  await box.json(["wait", "--run-key", "k"]);
  expect((await box.run(["result", "--job-id", job.job_id])).code).toBe(0);
});

/** Bytes in which every kind of character, and of invalid bytes, is cut by every chunk boundary somewhere. */
function mixedBytes(length: number): Uint8Array {
  const pieces = ["a", "é", "€", "🎉", '"', "\\", "\n", "\0", "\u009b", "\uFEFF", "\u2028"].map((text) =>
    new TextEncoder().encode(text),
  );
  pieces.push(
    Uint8Array.of(0xff),
    Uint8Array.of(0xe2, 0x82),
    Uint8Array.of(0xf0, 0x9f),
    Uint8Array.of(0xed, 0xa0),
  );
  const bytes = new Uint8Array(length);
  for (let at = 0, step = 1; at < length; step++) {
    const piece = pieces[(step * 7 + (step >> 3)) % pieces.length]!.subarray(0, length - at);
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

test("output read in parts is the same, byte for byte, as one answer", async () => {
  await using box = new Sandbox();
  const job = await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
  const stdout = mixedBytes(1_000_003);
  const stderr = mixedBytes(262_145);
  await Bun.write(job.stdout_file, stdout);
  await Bun.write(job.stderr_file, stderr);
  const text = (bytes: Uint8Array) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  const whole = await box.run(["result", "--run-key", "k", "--max-bytes", "600000000"]);
  const expected = {
    ...(await box.json<object>(["status", "--run-key", "k"])),
    ...{ stdout: text(stdout), stdout_truncated: false, stderr: text(stderr), stderr_truncated: false },
  };
  // Some characters are written as \uXXXX, so the values are compared.
  expect(JSON.stringify(JSON.parse(whole.stdout)) === JSON.stringify(expected)).toBe(true);
  const end = await box.json<ResultAnswer>(["result", "--run-key", "k", "--max-bytes", "524289"]);
  expect(end.stdout === text(stdout.subarray(-524_289))).toBe(true);
  expect(end).toMatchObject({ stdout_truncated: true, stderr_truncated: false });
});

test("a huge one takes bounded memory", async () => {
  await using box = new Sandbox();
  const job = await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
  truncateSync(job.stdout_file, 5_000_000_000);
  // A NUL is six characters in JSON.
  const max = 50_000_000;
  const child = box.spawn([BINARY, "result", "--run-key", "k", "--max-bytes", String(max)]);
  let length = 0;
  let peakKb = 0;
  // Measured while it lives and waits for its reader: the peak that wait(2) returns would be that of the process that
  // forked it.
  for await (const chunk of child.stdout) {
    length += chunk.length;
    const status = readProc(child.pid, "status");
    peakKb = Math.max(peakKb, Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0));
  }
  expect([await new Response(child.stderr).text(), await child.exited]).toEqual(["", 0]);
  expect(length).toBeGreaterThan(6 * max);
  expect(peakKb).toBeGreaterThan(0);
  expect(peakKb).toBeLessThan(200_000);
});

test("if one of the two logs is gone only the error is printed", async () => {
  await using box = new Sandbox();
  const job = await box.json(["start", "--run-key", "k", "--sync", "--", "echo", "x"]);
  rmSync(job.stderr_file);
  expectFailure(await box.run(["result", "--run-key", "k"]), 4, "is gone");
});
