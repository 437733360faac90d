/** A log that is truncated while a command follows it: the command says so, and shows what comes next. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Gate } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { BINARY, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/** How /proc/PID/syscall begins in poll(2); on arm64 the C library calls ppoll(2) instead. */
const POLL = process.arch === "arm64" ? "73 " : "7 ";

/** A command that writes `before` to stderr, waits at the gate, and runs `then`. */
function steps(gate: Gate, before: string, then: string): string[] {
  const [sh, c, wait, ...words] = gate.command;
  return [sh!, c!, `${before}\n${wait}\n${then}`, ...words];
}

test("run and logs --follow say that the command reopened its own log, and continue", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const command = steps(gate, "echo first >&2", "echo x >/dev/stderr; echo last >&2");
  const run = box.spawn([BINARY, "run", "--run-key", "k", "--", ...command]);
  const log = await until("the log", async () => {
    const status = await box.run(["status", "--run-key", "k"]);
    return status.code === 0 && (JSON.parse(status.stdout) as { stderr_file: string }).stderr_file;
  });
  await until("the first line", () => readIfAny(log) === "first\n");
  const follow = box.spawn([BINARY, "logs", "--follow", "--run-key", "k", "--stream", "stderr"]);
  const reader = follow.stdout.getReader();
  let followed = new TextDecoder().decode((await reader.read()).value);
  // The test does not read run's output here; run has checked the log since the first line as often as logs has.
  await Bun.sleep(100);
  gate.open();
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read())
    followed += new TextDecoder().decode(chunk.value);
  expect(followed).toBe("first\nx\nlast\n");
  expect(await new Response(follow.stderr).text()).toContain("was truncated (after 6 bytes)");
  const { code, stderr } = await box.finished(run);
  expect(code).toBe(0);
  expect(stderr.replace(/^orchesjob: .*\n/gm, "")).toBe("first\nx\nlast\n");
  expect(stderr).toContain("was truncated (after 6 bytes)");
});

test("a rotation that copies and truncates (copytruncate) makes a follower miss nothing", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const [sh, c, wait, ...words] = gate.command;
  const command = [sh!, c!, `seq 1 20; ${wait}; seq 21 40`, ...words];
  const job = await box.json(["start", "--run-key", "k", "--", ...command]);
  const follow = box.spawn([BINARY, "logs", "--follow", "--run-key", "k"]);
  const reader = follow.stdout.getReader();
  let shown = "";
  while (!shown.endsWith("20\n")) shown += new TextDecoder().decode((await reader.read()).value);
  expect((await box.execute(["sh", "-c", `cp "$0" "$0.1" && : >"$0"`, job.stdout_file])).code).toBe(0);
  gate.open();
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read())
    shown += new TextDecoder().decode(chunk.value);
  expect(shown.trim().split("\n").map(Number)).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
  expect(await follow.exited).toBe(0);
  expect(await new Response(follow.stderr).text()).toContain("was truncated");
  unlinkSync(`${job.stdout_file}.1`);
});

test("a log that was truncated and has outgrown the old one between two looks is shown from its beginning", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const [sh, c, wait, ...words] = gate.command;
  const job = await box.json(["start", "--run-key", "k", "--", sh!, c!, `echo old; ${wait}`, ...words]);
  const follow = box.spawn([BINARY, "logs", "--follow", "--run-key", "k"]);
  const reader = follow.stdout.getReader();
  let shown = new TextDecoder().decode((await reader.read()).value);
  // Stops the follower during both, once it has shown everything and waits in poll(2).
  await until("it waits", () => readFileSync(`/proc/${follow.pid}/syscall`, "utf8").startsWith(POLL));
  follow.kill("SIGSTOP");
  await until("it is held", () => /^\d+ \(.*\) T/s.test(readFileSync(`/proc/${follow.pid}/stat`, "utf8")));
  writeFileSync(job.stdout_file, "new, and longer than what was there\n");
  follow.kill("SIGCONT");
  gate.open();
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read())
    shown += new TextDecoder().decode(chunk.value);
  expect(shown).toBe("old\nnew, and longer than what was there\n");
});

testWith(
  ["strace"],
  "a log that is truncated as soon as its bytes are shown, and then outgrows them, loses nothing",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const [sh, c, wait, ...words] = gate.command;
    const job = await box.json(["start", "--run-key", "k", "--", sh!, c!, `echo old; ${wait}`, ...words]);
    // Delays the calls, so that the follower learns later than its reader that the bytes were shown.
    const calls = "write,sendfile";
    const slowly = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `inject=${calls}:delay_exit=500000`];
    const follow = box.spawn([
      ...slowly,
      "-e",
      `trace=${calls}`,
      BINARY,
      "logs",
      "--follow",
      "--run-key",
      "k",
    ]);
    const reader = follow.stdout.getReader();
    let shown = new TextDecoder().decode((await reader.read()).value);
    writeFileSync(job.stdout_file, "new, and longer than what was there\n");
    gate.open();
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read())
      shown += new TextDecoder().decode(chunk.value);
    expect(shown).toBe("old\nnew, and longer than what was there\n");
    expect(await new Response(follow.stderr).text()).toContain("was truncated");
  },
);

test("a renamed log is still followed, because the command still writes to it", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const [sh, c, wait, ...words] = gate.command;
  const job = await box.json([
    ...["start", "--run-key", "k", "--"],
    ...[sh!, c!, `echo one; ${wait}; echo two`, ...words],
  ]);
  const follow = box.spawn([BINARY, "logs", "--follow", "--run-key", "k"]);
  const reader = follow.stdout.getReader();
  let shown = new TextDecoder().decode((await reader.read()).value);
  renameSync(job.stdout_file, join(box.directory, "rotated"));
  writeFileSync(job.stdout_file, "");
  gate.open();
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read())
    shown += new TextDecoder().decode(chunk.value);
  expect(shown).toBe("one\ntwo\n");
  expect(await new Response(follow.stderr).text()).toBe("");
});

test("run of an ended job whose log is gone says so and exits with 125; logs --follow exits 4", async () => {
  await using box = new Sandbox();
  const words = ["run", "--run-key", "k", "--request-id", "1", "--", "sh", "-c", "echo x; exit 3"];
  expect(await box.run(words)).toMatchObject({ code: 3, stdout: "x\n", stderr: "" });
  const job = await box.json(["status", "--run-key", "k"]);
  unlinkSync(job.stdout_file);
  const again = await box.run(words);
  expect(again).toMatchObject({ code: 125, stdout: "" });
  const reason = `orchesjob: the stdout of job ${job.job_id} is gone: ${job.stdout_file} was deleted\n`;
  expect(again.stderr).toStartWith(reason);
  expect(again.stderr).toContain("is FAILED (exit code 3), but its output could not be shown as a whole");
  expect(await box.run(["logs", "--follow", "--run-key", "k"])).toMatchObject({ code: 4, stderr: reason });
});

function readIfAny(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
