/**
 * ORCHESJOB_DEBUG=FILE: what launcher, worker, hook and copier write to it, and that it does not change what they do.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Gate, startWaiting } from "../support/gate.ts";
import { type HookedJob, hookedJob } from "../support/hooks.ts";
import { injectFaults } from "../support/faults.ts";
import { finishedJob } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { BINARY, isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/** A text that must not be in the file, used as an argument, as a value of the environment, and in the hook. */
const SECRET = "s3cr3t-of-the-test";

interface Line {
  readonly pid: number;
  readonly role: string;
  readonly jobId: string;
  readonly event: string;
}

const LINE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d (\d+) ([a-z]+) ([0-9a-f-]{36}|-) (\S.*)$/;

/** The lines of the file. Each must be whole: no process may have written into another's. */
function readLines(file: string): Line[] {
  if (!existsSync(file)) return [];
  const text = readFileSync(file, "utf8");
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => {
      const parts = LINE.exec(line);
      if (parts === null) throw new Error(`not a line of the debug file: ${JSON.stringify(line)}`);
      const [, pid, role, jobId, event] = parts;
      return { pid: Number(pid), role: role!, jobId: jobId!, event: event! };
    });
}

/** Expects events of one role that match, in the order given; throws if one is missing. */
function expectStory(lines: readonly Line[], role: string, story: readonly (string | RegExp)[]): void {
  const events = lines.filter((line) => line.role === role).map(({ event }) => event);
  let from = 0;
  for (const wanted of story) {
    const found = events.findIndex(
      (event, index) => index >= from && (typeof wanted === "string" ? event === wanted : wanted.test(event)),
    );
    if (found < 0) throw new Error(`${role}: no ${wanted} from line ${from} on in:\n${events.join("\n")}`);
    from = found + 1;
  }
}

/** The lines, once the process of this pid has written its last. */
function endedLines(file: string, pid: number): Promise<Line[]> {
  return until(`the last line of ${pid}`, () => {
    const lines = readLines(file);
    return lines.some((line) => line.pid === pid && line.event.startsWith("ends with exit code")) && lines;
  });
}

test("the file has the whole story of one job, from the launcher to the hook", async () => {
  await using box = new Sandbox();
  const file = join(box.directory, "debug.log");
  const env = { ORCHESJOB_DEBUG: file, PASSWORD: SECRET };
  const job = await box.json<HookedJob>(
    [
      ...[
        "start",
        "--run-key",
        "k",
        "--sync",
        "--env",
        `TOKEN=${SECRET}`,
        "--on-exit",
        `: ${SECRET}; exit 3`,
      ],
      ...["--", "sh", "-c", "exit 7", SECRET],
    ],
    { env },
  );
  const lines = await endedLines(file, job.worker_pid!);
  const worker = `${job.worker_pid}`;
  expectStory(lines, "start", [
    /^begins: orchesjob \S+ \(commit \S+\), state directory \S+\/home, called by process \d+$/,
    'run key "k" has no job yet',
    `spawned worker ${worker}`,
    'accepted the job: attempt 1 of run key "k"',
    "released the worker",
    "ends with exit code 0",
  ]);
  expectStory(lines, "worker", [
    /^begins: orchesjob/,
    "was released",
    "claimed the job",
    `launched target ${job.target_pid}: "sh"`,
    "target ended with exit code 7",
    "recorded FAILED",
    "gave the lock back",
    /^started hook \d+$/,
    "hook ended with exit code 3",
    "recorded the result of the hook",
    "ends with exit code 0",
  ]);
  for (const line of lines.filter(({ role }) => role === "worker"))
    expect(line).toMatchObject({ pid: job.worker_pid, jobId: job.job_id });
  expect(lines.find(({ event }) => event.startsWith("accepted"))?.jobId).toBe(job.job_id);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const text = readFileSync(file, "utf8");
  expect(text).not.toContain(SECRET);
  expect(text).not.toContain("exit 7");
  expect(text).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-/);
});

test("the reason of a failed launch is noted without the command line", async () => {
  await using box = new Sandbox();
  const file = join(box.directory, "debug.log");
  const env = { ORCHESJOB_DEBUG: file };
  for (const command of [["export", `A=${SECRET}`], [`curl -u ${SECRET}`], ["no-such-command", SECRET]])
    await box.json(["start", "--run-key", command[0]!.slice(0, 4), "--sync", "--", ...command], { env });
  await box.run(["start", "--run-key", "k", "--env", SECRET, "--", "true"], { env });
  const lines = await until("all workers have ended", () => {
    const all = readLines(file);
    return (
      all.filter(({ role, event }) => role === "worker" && event.startsWith("ends with")).length === 3 && all
    );
  });
  expectStory(lines, "worker", [
    'cannot launch "export": no such file or directory',
    "recorded FAILED",
    'cannot launch "curl": no such file or directory',
    'cannot launch "no-such-command": no such file or directory',
  ]);
  expect(readFileSync(file, "utf8")).not.toContain(SECRET);
});

test("signals, a cancel and a timeout are noted", async () => {
  await using box = new Sandbox();
  const file = join(box.directory, "debug.log");
  const env = { ORCHESJOB_DEBUG: file };
  const sleep = ["--", "sleep", "1000"];
  const signalled = await box.json(["start", "--run-key", "signalled", ...sleep], { env });
  process.kill(signalled.worker_pid!, "SIGTERM");
  const cancelled = await box.json(["start", "--run-key", "cancelled", ...sleep], { env });
  await box.json(["cancel", "--run-key", "cancelled"], { env });
  const late = await box.json(["start", "--run-key", "late", "--timeout", "1", ...sleep], { env });
  const storyOf = async (job: JobAnswer) =>
    (await endedLines(file, job.worker_pid!)).filter(({ jobId }) => jobId === job.job_id);
  expectStory(await storyOf(signalled), "worker", [
    "signal SIGTERM passed on",
    "target ended by SIGTERM",
    "recorded FAILED",
  ]);
  const lines = await storyOf(cancelled);
  expectStory(lines, "cancel", ["asked the worker to cancel, with 5s for TERM", "ends with exit code 0"]);
  expectStory(lines, "worker", [
    "woken by a write to the lock file: looks into the database",
    "ends all processes of the job (cancel), with 5s for TERM",
    `TERM to process ${cancelled.target_pid}: sent`,
    "target ended by SIGTERM",
    "recorded CANCELLED",
  ]);
  expectStory(await storyOf(late), "worker", [
    "ends all processes of the job (timeout), with 5s for TERM",
    "recorded FAILED",
  ]);
});

test("the processes that handle a lost job, an overdue hook and output without a copier note it", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const file = join(box.directory, "debug.log");
  const env = { ORCHESJOB_DEBUG: "debug.log" };
  const job = await box.json([
    ...["start", "--run-key", "k", "--output", "pipe", "--on-exit", "true", "--", ...gate.command],
  ]);
  process.kill(job.worker_pid!, "SIGKILL");
  await until("the worker is gone", () => !isAlive(job.worker_pid!));
  const look = () => box.json(["status", "--run-key", "k"], { env });
  await look();
  gate.open();
  const lines = await until("hook and copier have ended", async () => {
    // While the worker was dying it may still have counted as the copier.
    await look();
    const all = readLines(file);
    return (
      ["hook", "copy"].every((each) =>
        all.some(({ role, event }) => role === each && event === "ends with exit code 0"),
      ) && all
    );
  });
  const pidOf = (wanted: string) => lines.find(({ role }) => role === wanted)!.pid;
  expectStory(lines, "status", [
    "recorded LOST (worker_killed)",
    `spawned hook runner ${pidOf("hook")} for jobs ${job.job_id}`,
    `spawned copier and keeper ${pidOf("copy")} for jobs ${job.job_id}`,
  ]);
  expectStory(lines, "hook", [
    /^took the lock of the hook of job \S+$/,
    /^started hook \d+$/,
    "hook ended with exit code 0",
  ]);
  expectStory(lines, "copy", [/^copies the output of 1 of 1 jobs/, "all output is in the logs"]);
});

testWith(
  ["strace"],
  "a worker that cannot record notes why, once, and later when it has recorded",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const file = join(box.directory, "debug.log");
    const job = await startWaiting(box, "k", gate);
    expect(readLines(file)).toEqual([]);
    await using second = new Gate(box, "second");
    const seen = await box.json(["start", "--run-key", "seen", "--", ...second.command], {
      env: { ORCHESJOB_DEBUG: file },
    });
    const faults = await injectFaults(box, seen.worker_pid!, "pwrite64:error=ENOSPC");
    second.open();
    await until("it has tried several times", () => faults.count() >= 4);
    await faults.heal();
    expect(await finishedJob(box, "seen")).toMatchObject({ status: "SUCCEEDED" });
    const lines = await endedLines(file, seen.worker_pid!);
    expectStory(lines, "worker", [
      "target ended with exit code 0",
      /^cannot record: .*the disk is full.*; trying again$/,
      /^\(repeated: \d+\)$/,
      "recorded SUCCEEDED",
    ]);
    expect(lines.filter(({ event }) => event.startsWith("cannot record"))).toHaveLength(1);
    expect(lines.some(({ jobId }) => jobId === job.job_id)).toBe(false);
  },
);

testWith(["strace"], "an uncaught exception is noted", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const file = join(box.directory, "debug.log");
  const job = await box.json(["start", "--run-key", "k", "--", ...gate.command], {
    env: { ORCHESJOB_DEBUG: file },
  });
  const faults = await injectFaults(box, job.worker_pid!, "waitid:error=EIO");
  gate.open();
  const lines = await until("the worker has said it", () => {
    const all = readLines(file);
    return all.some(({ event }) => event.startsWith("uncaught")) && all;
  });
  expectStory(lines, "worker", [/^uncaught exception: SystemError: cannot wait for our children: .+ at .+/]);
  // The worker continues, and looks again when the next child ends.
  await faults.heal();
  process.kill(job.worker_pid!, "SIGCHLD");
  expect(await finishedJob(box, "k")).toMatchObject({ status: "SUCCEEDED" });
});

test("many processes share one file, and none writes into another's line", async () => {
  await using box = new Sandbox();
  const file = join(box.directory, "debug.log");
  const env = { ORCHESJOB_DEBUG: file };
  const keys = Array.from({ length: 12 }, (_, index) => `key ${index}`);
  const jobs = await Promise.all(
    keys.map((key) => box.json(["start", "--run-key", key, "--sync", "--", "true"], { env })),
  );
  for (const job of jobs) {
    const lines = (await endedLines(file, job.worker_pid!)).filter(({ jobId }) => jobId === job.job_id);
    expectStory(lines, "worker", ["claimed the job", "recorded SUCCEEDED", "ends with exit code 0"]);
  }
});

test("the launcher reports a file that cannot be used once, and everything else stays the same", async () => {
  await using box = new Sandbox();
  const fifo = join(box.directory, "fifo");
  await box.execute(["mkfifo", fifo]);
  const bad: readonly (readonly [file: string, why: string])[] = [
    [box.directory, "it is a directory"],
    [join(box.directory, "none/debug.log"), "no such file or directory"],
    [fifo, "nobody reads this FIFO"],
    ["/dev/full", "no space left on device"],
    ["a\u00ff".repeat(3000), "file name too long"],
  ];
  for (const [index, [file, why]] of bad.entries()) {
    const script = 'printf %s "$ORCHESJOB_DEBUG"; exit 7';
    const words = ["run", "--run-key", `k${index}`, "--", "sh", "-c", script];
    const result = await box.run(words, { env: { ORCHESJOB_DEBUG: file } });
    expect(result).toMatchObject({ code: 7, stdout: file });
    expect(result.stderr).toMatch(/^orchesjob: ORCHESJOB_DEBUG: cannot write to [^\n]+\n$/);
    expect(result.stderr).toContain(why);
  }
});

testWith(["bash"], "a name that is not UTF-8 is not used, and reaches the command as it is", async () => {
  await using box = new Sandbox();
  const script = `ORCHESJOB_DEBUG=$'d\\xff' exec "$0" run --run-key k -- sh -c 'printf %s "$ORCHESJOB_DEBUG" | od -An -tx1'`;
  const result = await box.execute(["bash", "-c", script, BINARY]);
  expect(result).toMatchObject({ code: 0, stdout: " 64 ff\n" });
  expect(result.stderr).toBe("orchesjob: ORCHESJOB_DEBUG is not valid UTF-8; use a path that is\n");
});

test("the name may be relative to the launcher's directory; a reader may be at the other end of a FIFO", async () => {
  await using box = new Sandbox();
  const place = join(box.directory, "place");
  mkdirSync(place);
  const words = ["run", "--run-key", "k", "--cwd", "/tmp", "--", "sh", "-c", 'printf %s "$ORCHESJOB_DEBUG"'];
  const result = await box.run(words, { cwd: place, env: { ORCHESJOB_DEBUG: "./my debug.log" } });
  expect(result).toMatchObject({ code: 0, stdout: "./my debug.log", stderr: "" });
  await until("the worker has written, too", () =>
    readLines(join(place, "my debug.log")).some(
      ({ role, event }) => role === "worker" && event === "ends with exit code 0",
    ),
  );
  const fifo = join(box.directory, "fifo");
  await box.execute(["mkfifo", fifo]);
  const reader = box.spawn(["cat", fifo]);
  await until("somebody reads", async () => {
    const run = await box.run(["run", "--run-key", "k", "--", "true"], { env: { ORCHESJOB_DEBUG: fifo } });
    return run.stderr === "";
  });
  expect((await box.finished(reader)).stdout).toMatch(/ worker \S+ recorded SUCCEEDED\n/);
});

test("a command and its hook have the variable only if the caller has set it, unchanged", async () => {
  await using box = new Sandbox();
  const file = join(box.directory, "debug.log");
  const ours = (text: string) =>
    text.split("\n").filter((line) => line.includes("ORCHESJOB_DEBUG") || line.includes("debug.log"));
  const environment = async (env: Record<string, string | undefined>, hook: boolean) => {
    const { stdout } = await box.run(["run", "--run-key", "k", "--on-exit", "env", "--", "env"], { env });
    if (!hook) return ours(stdout);
    const { on_exit_file } = await hookedJob(box, "k");
    return ours(readFileSync(on_exit_file!, "utf8"));
  };
  for (const hook of [false, true]) {
    expect(await environment({ ORCHESJOB_DEBUG: undefined }, hook)).toEqual([]);
    expect(await environment({ ORCHESJOB_DEBUG: file }, hook)).toEqual([`ORCHESJOB_DEBUG=${file}`]);
    expect(await environment({ ORCHESJOB_DEBUG: "debug.log" }, hook)).toEqual(["ORCHESJOB_DEBUG=debug.log"]);
    expect(await environment({ ORCHESJOB_DEBUG: "" }, hook)).toEqual(["ORCHESJOB_DEBUG="]);
  }
});

test("without the variable nothing is written, and the worker's command line does not mention it", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  expect(readFileSync(`/proc/${job.worker_pid}/cmdline`, "utf8")).not.toContain("debug");
  gate.open();
  await finishedJob(box, "k");
  const files = await box.execute(["find", box.directory, "-type", "f"]);
  expect(files.stdout.split("\n").filter((path) => path !== "" && !path.startsWith(`${box.home}/`))).toEqual(
    [],
  );
});

testWith(
  ["root"],
  "a file of mode 0400 that belongs to others changes nothing for an ordinary user",
  async () => {
    await using box = new Sandbox();
    const file = join(box.directory, "debug.log");
    writeFileSync(file, "");
    chmodSync(file, 0o400);
    chmodSync(box.directory, 0o777);
    const words = ["setpriv", "--reuid=65534", "--clear-groups", BINARY, "status", "--run-key", "k"];
    const result = await box.execute(words, {
      env: { ORCHESJOB_DEBUG: file, ORCHESJOB_HOME: "/nonexistent" },
    });
    expect(result.code).toBe(3);
    expect(result.stderr).toContain(
      `orchesjob: ORCHESJOB_DEBUG: cannot write to ${file}: permission denied\n`,
    );
  },
);
