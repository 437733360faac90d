/** `--max-log-bytes`: what readers see while it is exceeded and afterwards, whoever copies the output. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { injectFaults } from "../support/faults.ts";
import { Gate } from "../support/gate.ts";
import { finishedJob, jobThat } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { killAndWait, killWorker, statusOf } from "../support/processes.ts";
import { isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const LIMIT = ["--max-log-bytes", "64K"];
/** How much a log gets directly. */
const BEGINNING = 32_768;

const numbers = (last: number) => Array.from({ length: last }, (_, index) => `${index + 1}\n`).join("");

const pipes = (box: Sandbox) => readdirSync(join(box.home, "pipes"));

function copiers(box: Sandbox): number[] {
  return box.processes().filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes("_copy");
    } catch {
      return false;
    }
  });
}

/** Checks the beginning, the line between and the last lines; returns the number of bytes that are missing. */
function missingIn(log: string, output: string): number {
  const beginning = log.slice(0, BEGINNING);
  const parts = /^\n?\[orchesjob: (\d+) bytes are missing here: [^\n]*\]\n([^]*)$/.exec(log.slice(BEGINNING));
  const [, missing, end = ""] = parts!;
  // Not toStartWith, which would print all of it.
  expect([output.startsWith(beginning), output.endsWith(`\n${end}`)]).toEqual([true, true]);
  expect(beginning.length + Number(missing) + end.length).toBe(output.length);
  expect(log.length).toBeLessThanOrEqual(65_536);
  expect(end.length).toBeGreaterThan(30_000);
  return Number(missing);
}

test("the log keeps its beginning and its last lines, and offsets that a reader has stay true", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `seq 1 100000; echo small >&2; echo waits; ${gate.wait}; echo last`;
  const started = await box.json(["start", "--run-key", "k", ...LIMIT, "--", "sh", "-c", script]);
  const limit = { max_log_bytes: 65_536, on_log_limit: "drop", log_dropped_bytes: null };
  expect(started).toMatchObject({ output: "pipe", ...limit } as object);
  const following = box.run(["logs", "--run-key", "k", "--follow"]);
  const reached = await jobThat(
    box,
    "k",
    "says its last line",
    (job) => (job as unknown as { last_line: string }).last_line === "waits",
  );
  const { log_limit_reached_at, quiet_seconds } = reached as unknown as Record<string, unknown>;
  expect(log_limit_reached_at).not.toBeNull();
  expect(quiet_seconds).toBeLessThan(10);
  const news = ["attach", "--job-id", started.job_id, "--max-bytes", "1M", "--format", "json"];
  const first = await box.json<Record<string, any>>([...news, "--stdout-from", "0"]);
  expect(first["stdout"] === numbers(100_000).slice(0, BEGINNING)).toBe(true);
  expect(await box.run(["metrics"])).toMatchObject({
    stdout: expect.stringContaining("\norchesjob_log_limited_jobs 1\n"),
  } as object);
  gate.open();
  const job = await finishedJob(box, "k");
  const output = `${numbers(100_000)}waits\nlast\n`;
  const log = readFileSync(job.stdout_file, "utf8");
  expect(job).toMatchObject({ status: "SUCCEEDED", failure: null, log_limit_reached_at } as object);
  expect(job).toMatchObject({ log_dropped_bytes: missingIn(log, output) } as object);
  expect(readFileSync(job.stderr_file, "utf8")).toBe("small\n");
  expect((await following).stdout === log).toBe(true);
  const next = await box.json<Record<string, any>>([...news, "--stdout-from", String(first["stdout_next"])]);
  expect(first["stdout"] + next["stdout"] === log).toBe(true);
  expect((await box.run(["logs", "--run-key", "k", "--stream", "both"])).stdout.length).toBe(log.length + 6);
  await until("the pipes are gone", () => pipes(box).length === 0);
  const again = await box.json(["rerun", "--run-key", "k", "--sync"]);
  expect(again).toMatchObject({ max_log_bytes: 65_536, output: "pipe" } as object);
  const refused = await box.run(["rerun", "--run-key", "k", "--output", "file"]);
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toContain("--max-log-bytes");
});

test("--on-log-limit end ends the job as a time limit does, and keeps what it says last", async () => {
  await using box = new Sandbox();
  const script = "trap 'echo caught; exit 0' TERM; i=0; while :; do i=$((i + 1)); echo $i >&2; done";
  const end = ["--on-log-limit", "end", "--grace-seconds", "60"];
  const run = await box.run(["run", "--run-key", "k", ...LIMIT, ...end, "--", "sh", "-c", script]);
  expect(run).toMatchObject({ code: 124, stdout: "caught\n" });
  const job = await statusOf(box, "k");
  const log = readFileSync(job.stderr_file, "utf8");
  const last = Number(log.trimEnd().split("\n").at(-1));
  expect(job).toMatchObject({
    ...{ status: "FAILED", failure: "log_limit", exit_code: 0, on_log_limit: "end", orphan_pids: [] },
    error: "a log has reached --max-log-bytes 65536",
    log_dropped_bytes: missingIn(log, numbers(last)),
  } as object);
});

test("an output within its limit is whole, and a stalled job is one that writes nothing", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await using last = new Gate(box, "last");
  const script = `seq 1 10000; echo a; ${gate.wait}; echo b; ${last.wait}`;
  const stall = ["--stall-after", "0.5"];
  await box.json(["start", "--run-key", "k", ...LIMIT, ...stall, "--", "sh", "-c", script]);
  const since = (job: JobAnswer) => (job as unknown as { stalled_since: string | null }).stalled_since;
  await jobThat(box, "k", "is stalled", (job) => since(job) !== null);
  gate.open();
  await jobThat(box, "k", "has output again", (job) => since(job) === null);
  last.open();
  const job = await finishedJob(box, "k");
  expect(readFileSync(job.stdout_file, "utf8") === `${numbers(10_000)}a\nb\n`).toBe(true);
  expect(job).toMatchObject({ log_limit_reached_at: null, log_dropped_bytes: null } as object);
});

test("if the worker and its successor are killed, the end is kept", async () => {
  await using box = new Sandbox();
  await using first = new Gate(box, "first");
  await using second = new Gate(box, "second");
  const script = `seq 1 30000; ${first.wait}; seq 30001 60000; ${second.wait}; seq 60001 90000`;
  const job = await box.json(["start", "--run-key", "k", ...LIMIT, "--", "sh", "-c", script]);
  const tail = join(box.home, "pipes", `${job.job_id}.stdout.tail`);
  await until("the beginning is full", () => existsSync(tail));
  await killWorker(job);
  first.open();
  expect(await statusOf(box, "k")).toMatchObject({ status: "LOST" });
  await until("a copier has it", () => copiers(box).length === 1);
  for (const pid of copiers(box)) await killAndWait(pid);
  await statusOf(box, "k");
  second.open();
  await until("the pipes are gone", () => pipes(box).length === 0 && copiers(box).length === 0);
  missingIn(readFileSync(job.stdout_file, "utf8"), numbers(90_000));
  expect(await statusOf(box, "k")).toMatchObject({ status: "LOST", log_dropped_bytes: null } as object);
});

testWith(["strace"], "on a full disk the command waits, and then the end follows", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `seq 1 10000; ${gate.wait}; seq 10001 200000`;
  const job = await box.json(["start", "--run-key", "k", ...LIMIT, "--", "sh", "-c", script]);
  await until("the beginning is full", () => statSync(job.stdout_file).size === BEGINNING);
  const faults = await injectFaults(box, job.worker_pid!, "splice,write:error=ENOSPC");
  gate.open();
  await until("it cannot write", () => faults.count() > 1);
  expect(await statusOf(box, "k")).toMatchObject({ status: "RUNNING", log_limit_reached_at: null } as object);
  await faults.heal();
  const ended = await finishedJob(box, "k");
  const missing = missingIn(readFileSync(job.stdout_file, "utf8"), numbers(200_000));
  expect(ended).toMatchObject({ status: "SUCCEEDED", log_dropped_bytes: missing } as object);
  expect(isAlive(job.target_pid!)).toBe(false);
});

test.each([
  [["--on-log-limit", "end"], "--on-log-limit needs --max-log-bytes SIZE"],
  [["--max-log-bytes", "1G", "--output", "file"], "--max-log-bytes needs --output pipe"],
  [
    ["--max-log-bytes", "1G", "--grace-seconds", "3"],
    "--grace-seconds needs something that ends the command",
  ],
])("a combination is refused: %p", async (options, message) => {
  await using box = new Sandbox();
  const refused = await box.run(["start", "--run-key", "k", ...options, "--", "true"]);
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toStartWith(`orchesjob: ${message}`);
});

test("clean deletes what a killed copier has left, of jobs and of none", async () => {
  await using box = new Sandbox();
  const { job_id } = await box.json(["start", "--run-key", "k", "--sync", ...LIMIT, "--", "true"]);
  await until("the pipes are gone", () => pipes(box).length === 0);
  for (const jobId of [job_id, crypto.randomUUID()])
    for (const end of ["stdout.tail", "stdout.tail.before", "stderr.tail.next"])
      writeFileSync(join(box.home, "pipes", `${jobId}.${end}`), "");
  expect(pipes(box)).toHaveLength(6);
  await box.json(["clean", "--keep", "0"]);
  expect(pipes(box)).toEqual([]);
});
