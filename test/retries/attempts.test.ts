/** `--retries`: what is tried again, and what the attempts of a run share. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { attemptsOf } from "../support/attempts.ts";
import { expectFailure } from "../support/expect.ts";
import { Gate } from "../support/gate.ts";
import { hookedJob } from "../support/hooks.ts";
import { jobThat } from "../support/jobs.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const QUICK = ["--run-key", "k", "--retry-delay", "0"];

/** Fails until its third attempt. */
const THIRD = [
  "--",
  "sh",
  "-c",
  'echo "attempt $ORCHESJOB_ATTEMPT"; test $ORCHESJOB_ATTEMPT -ge 3 || exit 7',
];

test.concurrent("a failed command is tried again until it succeeds; each attempt is a job", async () => {
  await using box = new Sandbox();
  const answer = await box.json(["start", ...QUICK, "--sync", "--retries", "5", ...THIRD]);
  expect(answer).toMatchObject({ status: "SUCCEEDED", attempt_no: 3, existing: false, exit_code: 0 });
  const attempts = await attemptsOf(box);
  expect(attempts.map(({ status, exit_code, retries_left }) => [status, exit_code, retries_left])).toEqual([
    ["FAILED", 7, 5],
    ["FAILED", 7, 4],
    ["SUCCEEDED", 0, 0],
  ]);
  const ids = attempts.map(({ job_id }) => job_id);
  expect(attempts.map((job) => job.retried_by_job_id)).toEqual([ids[1]!, ids[2]!, null]);
  expect(attempts.map((job) => job.retry_of_job_id)).toEqual([null, ids[0]!, ids[1]!]);
  expect(attempts.map((job) => job.retry_at === null)).toEqual([true, false, false]);
  for (const [index, job] of attempts.entries())
    expect(readFileSync(job.stdout_file, "utf8")).toBe(`attempt ${index + 1}\n`);
  const tokens = attempts.map((job) => job.fencing_token);
  expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
  expect(new Set(tokens).size).toBe(3);
});

test.concurrent("run shows the output of all attempts and exits with the code of the last", async () => {
  await using box = new Sandbox();
  const passed = await box.run(["run", ...QUICK, "--retries", "2", ...THIRD]);
  expect(passed).toMatchObject({ code: 0, stdout: "attempt 1\nattempt 2\nattempt 3\n" });
  expect(passed.stderr).toBe(
    "orchesjob: attempt 1 failed (exit code 7); attempt 2 follows now\n" +
      "orchesjob: attempt 2 failed (exit code 7); attempt 3 follows now\n",
  );
  const failed = await box.run(["run", ...QUICK, "--retries", "1", "--", "sh", "-c", "exit 9"]);
  expect(failed.code).toBe(9);
  expect(await attemptsOf(box)).toHaveLength(5);
});

test.concurrent("logs --follow, attach and wait of the first attempt go on to the last", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `${gate.wait}; echo "attempt $ORCHESJOB_ATTEMPT"; test $ORCHESJOB_ATTEMPT -ge 2`;
  const { job_id } = await box.json(["start", ...QUICK, "--retries", "1", "--", "sh", "-c", script]);
  const following = box.run(["logs", "--follow", "--job-id", job_id]);
  const attached = box.run(["attach", "--job-id", job_id]);
  const waiting = box.run(["wait", "--exit-status", "--job-id", job_id]);
  gate.open();
  const seen = await attached;
  expect([seen.code, seen.stdout]).toEqual([0, "attempt 1\nattempt 2\n"]);
  expect(seen.stderr).toContain("attempt 1 failed (exit code 1); attempt 2 follows now");
  expect((await following).stdout).toBe("attempt 1\nattempt 2\n");
  const waited = await waiting;
  expect([waited.code, JSON.parse(waited.stdout).attempt_no]).toEqual([0, 2]);
});

test.concurrent.each([
  ["any failure", [], "exit 3", 2],
  ["a signal", [], "kill -9 $$", 2],
  ["a listed code", ["--retry-on", "75,3"], "exit 3", 2],
  ["only a listed code", ["--retry-on", "75"], "exit 3", 1],
  ["a signal as a shell names it", ["--retry-on", "143"], "kill $$", 2],
  ["only a time limit", ["--retry-on", "timeout"], "exit 3", 1],
  ["a time limit", ["--retry-on", "timeout", "--timeout", "0.2"], "sleep 600", 2],
  ["not a time limit that is not listed", ["--retry-on", "3", "--timeout", "0.2"], "sleep 600", 1],
  ["no success", [], "exit 0", 1],
])("is tried again: %s", async (_, options, script, attempts) => {
  await using box = new Sandbox();
  const words = ["start", ...QUICK, "--sync", "--retries", "1", ...options, "--", "sh", "-c", script];
  expect(await box.json(words)).toMatchObject({ attempt_no: attempts });
  expect(await attemptsOf(box)).toHaveLength(attempts);
});

test.concurrent("a command that cannot be executed is tried again only if its code is listed", async () => {
  await using box = new Sandbox();
  const start = (...options: string[]) =>
    box.json(["start", ...QUICK, "--sync", "--retries", "1", ...options, "--", "./no-such-file"]);
  expect(await start()).toMatchObject({ status: "FAILED", failure: "not_found", attempt_no: 1 });
  expect(await start("--retry-on", "127")).toMatchObject({ failure: "not_found", attempt_no: 3 });
});

test.concurrent("every attempt gets environment, directory, limits and input as the first", async () => {
  await using box = new Sandbox();
  const own = "-e ORCHESJOB_JOB -e ORCHESJOB_ATTEMPT -e ORCHESJOB_FENCING";
  const facts =
    "pwd; umask; ulimit -Sn; grep -e SigB -e SigI /proc/self/status; cat /proc/self/oom_score_adj";
  const script = `cat; env | grep -v ${own} | sort; ${facts}; ls /proc/$$/fd; exit 1`;
  const words = ["start", ...QUICK, "--sync", "--retries", "2", "--env", "A=b c", "--stdin", "-"];
  const shell = `umask 027; ulimit -Sn 300; "$@" 2>&1`;
  const result = await box.execute(
    [
      "sh",
      "-c",
      `${shell}; :`,
      "sh",
      join(import.meta.dir, "../../dist/orchesjob"),
      ...words,
      "--",
      "sh",
      "-c",
      script,
    ],
    { stdin: "one line\n", env: { BUN_INSPECT: "", NODE_OPTIONS: "--x", ODD: "ü" } },
  );
  expect(result.code, result.stdout).toBe(0);
  const outputs = (await attemptsOf(box)).map((job) => readFileSync(job.stdout_file, "utf8"));
  expect(outputs).toHaveLength(3);
  expect(outputs[0]).toStartWith("one line\n");
  expect(outputs[0]).toContain("\n0027\n300\n");
  expect(outputs[0]).toContain("A=b c\n");
  expect(outputs[0]).toContain("NODE_OPTIONS=--x\n");
  expect(outputs[0]).not.toContain("ORCHESJOB_HIDDEN");
  expect(outputs[1]).toBe(outputs[0]!);
  expect(outputs[2]).toBe(outputs[0]!);
  expect(
    (await attemptsOf(box)).every(
      (job) =>
        job.job_id === /([^/]+).stdin$/.exec((job as unknown as { stdin_file: string }).stdin_file)![1],
    ),
  ).toBe(true);
});

test.concurrent("each attempt has the id and attempt number of its own job", async () => {
  await using box = new Sandbox();
  const script = 'echo "$ORCHESJOB_JOB_ID $ORCHESJOB_ATTEMPT $ORCHESJOB_FENCING_TOKEN"; exit 1';
  await box.json(["start", ...QUICK, "--sync", "--retries", "1", "--", "sh", "-c", script]);
  for (const job of await attemptsOf(box))
    expect(readFileSync(job.stdout_file, "utf8")).toBe(
      `${job.job_id} ${job.attempt_no} ${job.fencing_token}\n`,
    );
});

test.concurrent("with --output pipe the output of every attempt is whole, that of daemons too", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `(${gate.wait}; echo "late $ORCHESJOB_ATTEMPT") & seq 20000; exit 1`;
  const words = ["start", ...QUICK, "--sync", "--retries", "1", "--output", "pipe", "--", "sh", "-c", script];
  expect(await box.json(words)).toMatchObject({ attempt_no: 2 });
  gate.open();
  for (const job of await attemptsOf(box))
    await until("all of it is there", () =>
      readFileSync(job.stdout_file, "utf8").endsWith(`20000\nlate ${job.attempt_no}\n`),
    );
});

test.concurrent("a request id names the run: each try gives its newest attempt", async () => {
  await using box = new Sandbox();
  const words = ["start", ...QUICK, "--request-id", "r", "--sync", "--retries", "2", ...THIRD];
  const answers = await Promise.all([box.json(words), box.json(words), box.json(words)]);
  expect(new Set(answers.map((job) => job.job_id)).size).toBe(1);
  expect(answers.filter((job) => job.accepted)).toHaveLength(1);
  expect(await box.json(words)).toMatchObject({ existing: true, job_id: answers[0]!.job_id, attempt_no: 3 });
  expect(await attemptsOf(box)).toHaveLength(3);
  const other = await box.run(["start", ...QUICK, "--request-id", "r", "--retries", "1", "--", "true"]);
  expectFailure(other, 4, /has another command/);
});

test.concurrent("--strict allows one run, with all its attempts", async () => {
  await using box = new Sandbox();
  const words = ["start", ...QUICK, "--strict", "--sync", "--retries", "1", "--", "false"];
  const { job_id } = await box.json(words);
  expect(await box.json(words)).toMatchObject({ existing: true, job_id, attempt_no: 2 });
  expect(await attemptsOf(box)).toHaveLength(2);
  await box.json(["clean", "--before", "2999-01-01"]);
  expectFailure(await box.run(words), 4, new RegExp(`has already run, as job ${job_id}`));
});

test.concurrent("the hook runs after the last attempt only", async () => {
  await using box = new Sandbox();
  const record = join(box.directory, "hooks");
  const hook = `echo "$ORCHESJOB_JOB_ID" >> ${record}`;
  await box.json(["start", ...QUICK, "--sync", "--retries", "2", "--on-exit", hook, ...THIRD]);
  const last = await hookedJob(box, "k");
  // What looks at a job starts a hook that is overdue.
  await attemptsOf(box);
  expect(readFileSync(record, "utf8")).toBe(`${last.job_id}\n`);
});

test.concurrent("rerun of any attempt begins a new run with the same options", async () => {
  await using box = new Sandbox();
  const record = join(box.directory, "hooks");
  const words = ["start", ...QUICK, "--sync", "--retries", "1", "--on-exit", `echo hook >> ${record}`];
  await box.json([...words, "--", "false"]);
  const [first] = await attemptsOf(box);
  await box.json(["rerun", "--job-id", first!.job_id, "--sync"]);
  await jobThat(
    box,
    "k",
    "has run its hook",
    (job) => (job as unknown as { on_exit_code: number }).on_exit_code === 0,
  );
  const attempts = await attemptsOf(box);
  expect(attempts.map((job) => job.retries_left)).toEqual([1, 0, 1, 0]);
  expect(readFileSync(record, "utf8")).toBe("hook\nhook\n");
});

test.concurrent("the pause grows by the factor, up to the longest", async () => {
  await using box = new Sandbox();
  const pauses = ["--retry-delay", "0.1", "--retry-backoff", "20", "--retry-max-delay", "0.4"];
  await box.json(["start", "--run-key", "k", "--sync", "--retries", "2", ...pauses, "--", "false"]);
  const attempts = await attemptsOf(box);
  const waited = attempts
    .slice(1)
    .map((job, index) => Date.parse(job.retry_at!) - Date.parse(attempts[index]!.finished_at!));
  expect(waited).toHaveLength(2);
  for (const [index, least] of [100, 400].entries()) expect(waited[index]).toBeGreaterThanOrEqual(least - 1);
  // Without the longest, it would be 2,000.
  expect(waited[1]).toBeLessThan(2_000);
  // It launches no earlier.
  for (const job of attempts.slice(1))
    expect(Date.parse(job.started_at)).toBeGreaterThanOrEqual(Date.parse(job.retry_at!) - 2);
});

test.concurrent("a changed input file is the same for every attempt", async () => {
  await using box = new Sandbox();
  const input = join(box.directory, "input");
  writeFileSync(input, "before\n");
  const script = `cat; mv ${input} ${input}.old; echo after > ${input}; exit 1`;
  await box.json(["start", ...QUICK, "--sync", "--retries", "1", "--stdin", input, "--", "sh", "-c", script]);
  for (const job of await attemptsOf(box)) expect(readFileSync(job.stdout_file, "utf8")).toBe("before\n");
});

test.concurrent("wait for several jobs goes on to the last attempt of each", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `test $ORCHESJOB_ATTEMPT -ge 2 || { ${gate.wait}; exit 1; }`;
  const ids: string[] = [];
  for (const key of ["a", "b"]) {
    const words = [
      "start",
      "--run-key",
      key,
      "--retries",
      "1",
      "--retry-delay",
      "0",
      "--",
      "sh",
      "-c",
      script,
    ];
    ids.push((await box.json(words)).job_id);
  }
  const waiting = box.json<JobAnswer[]>(["wait", ...ids.flatMap((id) => ["--job-id", id])]);
  gate.open();
  expect((await waiting).map(({ status, attempt_no }) => [status, attempt_no])).toEqual([
    ["SUCCEEDED", 2],
    ["SUCCEEDED", 2],
  ]);
});

test.concurrent("a stalled attempt is tried again, as after a time limit", async () => {
  await using box = new Sandbox();
  const stall = ["--stall-after", "0.3", "--on-stall", "cancel", "--retry-on", "timeout"];
  const script = "test $ORCHESJOB_ATTEMPT -ge 2 || sleep 600";
  const words = ["start", ...QUICK, "--sync", "--retries", "1", ...stall, "--", "sh", "-c", script];
  expect(await box.json(words)).toMatchObject({ status: "SUCCEEDED", attempt_no: 2 });
  expect((await attemptsOf(box))[0]).toMatchObject({ status: "FAILED", failure: "stalled" });
});
