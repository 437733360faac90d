/** Leaving a `run`: whatever happens to the caller, the job continues, and the message says how to return to it. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, readlinkSync, realpathSync } from "node:fs";
import { Gate } from "../support/gate.ts";
import { finishedJob, runningJob } from "../support/jobs.ts";
import { Reading } from "../support/reading.ts";
import { BINARY, isAlive, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { shell } from "../support/shell.ts";
import { findProcesses, hasOpen, stateOf } from "../support/processes.ts";
import { CTRL_C, onTerminal } from "../support/terminal.ts";

setDefaultTimeout(TIMEOUT_MS);

describe("a signal to the caller detaches it", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)(
    "%s: exit %d, with the command to return and the command to end the job",
    async (signal, code) => {
      await using box = new Sandbox();
      await using gate = new Gate(box);
      // In its own process group, all of which gets the signal, like a terminal's foreground job.
      const script = `echo begun; ${gate.wait}; echo end`;
      const caller = box.spawn(["setsid", BINARY, "run", "--run-key", "k", "--", "sh", "-c", script]);
      await new Reading(caller.stdout).until("begun\n");
      const job = await runningJob(box, "k");
      process.kill(-caller.pid, signal);
      expect(await caller.exited).toBe(code);
      const message = await new Response(caller.stderr).text();
      expect(message).toMatch(/^orchesjob: left job [^\n]+\n$/);
      expect(message).toContain("goes on");

      // The commands that the message names work as they stand; this checks the first.
      for (const verb of ["logs --follow", "cancel"])
        expect(message).toContain(`orchesjob ${verb} --job-id ${job.job_id}`);
      const watcher = box.spawn([BINARY, "logs", "--follow", "--job-id", job.job_id]);
      gate.open();
      expect((await box.finished(watcher)).stdout).toBe("begun\nend\n");
      expect(await finishedJob(box, "k")).toMatchObject({
        job_id: job.job_id,
        status: "SUCCEEDED",
        signal: null,
      });
    },
  );
});

describe("a waiting command prints the same when a signal detaches it, and ends by the signal as ever", () => {
  test.each([
    [["start", "--run-key", "k", "--sync", "--"], "SIGINT"],
    [["start", "--run-key", "k", "--sync", "--exit-status", "--"], "SIGTERM"],
    [["rerun", "--run-key", "k", "--sync"], "SIGHUP"],
    [["wait", "--run-key", "k"], "SIGINT"],
  ] as const)("%p, %s", async (words, signal) => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    if (words[0] === "rerun") {
      gate.open(1);
      await box.json(["start", "--run-key", "k", "--sync", "--", ...gate.command]);
    }
    if (words[0] === "wait") await box.json(["start", "--run-key", "k", "--", ...gate.command]);
    const caller = box.spawn([BINARY, ...words, ...(words[0] === "start" ? gate.command : [])]);
    const job = await runningJob(box, "k");
    await until("the caller waits", () => hasOpen(caller.pid, `${box.home}/locks/${job.job_id}`));
    caller.kill(signal);
    const left = await box.finished(caller);
    expect(left).toMatchObject({ code: null, signal, stdout: "" });
    expect(left.stderr).toMatch(/^orchesjob: left job [^\n]+, which goes on; see it again: [^\n]+\n$/);
    expect(left.stderr).toContain(`orchesjob cancel --job-id ${job.job_id}`);
    gate.open();
    expect(await finishedJob(box, "k")).toMatchObject({ job_id: job.job_id, status: "SUCCEEDED" });
  });

  test("a caller under nohup continues to wait", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const caller = box.spawn(["nohup", BINARY, "start", "--run-key", "k", "--sync", "--", ...gate.command]);
    const job = await runningJob(box, "k");
    await until("the caller waits", () => hasOpen(caller.pid, `${box.home}/locks/${job.job_id}`));
    caller.kill("SIGHUP");
    gate.open();
    expect((await box.finished(caller)).stdout).toContain('"status": "SUCCEEDED"');
  });
});

test("SIGKILL to the caller leaves the job alone, and a second run shows all of it", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const words = ["run", "--run-key", "k", "--", "sh", "-c", `echo begun; ${gate.wait}; echo end; exit 4`];
  const caller = box.spawn([BINARY, ...words]);
  await new Reading(caller.stdout).until("begun\n");
  caller.kill("SIGKILL");
  await caller.exited;
  const again = box.spawn([BINARY, ...words]);
  const shown = new Reading(again.stdout);
  await shown.until("begun\n");
  gate.open();
  expect(await shown.all()).toBe("begun\nend\n");
  expect(await again.exited).toBe(4);
  expect(await finishedJob(box, "k")).toMatchObject({ attempt_no: 1 });
});

test("under nohup the end of the session does not detach it", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const command = [BINARY, "run", "--run-key", "k", "--", "sh", "-c", `echo begun; ${gate.wait}; echo end`];
  const caller = box.spawn(["nohup", ...command]);
  const shown = new Reading(caller.stdout);
  await shown.until("begun\n");
  caller.kill("SIGHUP");
  gate.open();
  expect(await shown.all()).toBe("begun\nend\n");
  expect(await caller.exited).toBe(0);
});

test("a second signal does no more than the first", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const caller = box.spawn([BINARY, "run", "--run-key", "k", "--", ...gate.command]);
  const job = await runningJob(box, "k");
  // It sleeps as long as nothing happens; a signal may reach any of its threads when it continues.
  await until("the caller sleeps", () => hasOpen(caller.pid, "anon_inode:inotify"));
  // Both signals are pending before it can look.
  process.kill(caller.pid, "SIGSTOP");
  await until("the caller is stopped", () => stateOf(caller.pid) === "T");
  for (const signal of ["SIGINT", "SIGINT", "SIGTERM"] as const) process.kill(caller.pid, signal);
  process.kill(caller.pid, "SIGCONT");
  expect([130, 143]).toContain(await until("the caller has left", () => caller.exitCode));
  expect(await new Response(caller.stderr).text()).toContain("goes on");
  expect(isAlive(job.target_pid!)).toBe(true);
});

test("a caller whose reader is slow reacts to the signal all the same", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await using more = new Gate(box, "more");
  const reader = new Gate(box, "reader");
  // As much as a pipe holds, and then one byte that waits for a reader, of which there is none.
  const script = `head -c 65536 /dev/zero; ${more.wait}; printf x; ${gate.wait}`;
  const caller = box.spawn([
    ...["sh", "-c", `"$@" | { ${reader.wait}; }`, "sh"],
    ...[BINARY, "run", "--run-key", "k", "--", "sh", "-c", script],
  ]);
  await runningJob(box, "k");
  // Not the shell, which has the same words.
  const isOurs = (pid: number) => readlinkSync(`/proc/${pid}/exe`) === realpathSync(BINARY);
  const run = await until("the caller is there", () => findProcesses(box, BINARY, "run").find(isOurs));
  await until("the pipe is full", () => bytesWritten(run) >= 65_536);
  more.open(1);
  await until("the caller waits in its pipe", () => waitsInPipe(run));
  process.kill(run, "SIGTERM");
  await until("the caller has left", () => !isAlive(run));
  reader.open();
  expect((await box.finished(caller)).stderr).toContain("goes on");
  gate.open();
  expect(await finishedJob(box, "k")).toMatchObject({ status: "SUCCEEDED" });
});

function bytesWritten(pid: number): number {
  return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
}

/** Whether it sleeps in write(2) or sendfile(2), unlike a process that looks for more output. */
function waitsInPipe(pid: number): boolean {
  return /pipe_w/.test(readFileSync(`/proc/${pid}/wchan`, "utf8"));
}

test("a reader that closes the pipe ends the caller quietly, and not the job", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const words = ["run", "--run-key", "k", "--", "sh", "-c", `seq 100000; ${gate.wait}`];
  const result = await shell(box, `{ "$0" "$@"; echo $? >&2; } | head -1`, { words });
  expect(result).toMatchObject({ stdout: "1\n", stderr: "141\n" });
  gate.open();
  expect(await finishedJob(box, "k")).toMatchObject({ status: "SUCCEEDED" });
});

test("Ctrl-C on a terminal ends the caller and not the job; nothing on the screen is garbled", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `echo one; echo two >&2; ${gate.wait}`;
  const screen = onTerminal(box, ["run", "--run-key", "k", "--", "sh", "-c", script]);
  await until("the output is shown", () => /one/.test(screen.shown()) && /two/.test(screen.shown()));
  const job = await runningJob(box, "k");
  screen.type(CTRL_C);
  expect(await screen.ended()).toBe(130);
  const lines = screen.shown().split("\r\n");
  expect(lines.slice(0, 2).sort()).toEqual(["one", "two"]);
  expect(lines[2]).toMatch(new RegExp(`^(\\^C)?orchesjob: left job ${job.job_id}, which goes on`));
  expect(screen.shown()).not.toContain("\u001b");
  expect(isAlive(job.target_pid!)).toBe(true);
});
