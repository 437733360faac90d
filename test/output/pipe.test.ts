/** --output pipe: the command cannot truncate its log, and no byte is lost, whichever process copies the output. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Gate } from "../support/gate.ts";
import { finishedJob } from "../support/jobs.ts";
import { isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const PIPE = ["--output", "pipe"] as const;

/** The FIFOs of the sandbox. */
function pipes(box: Sandbox): string[] {
  const directory = join(box.home, "pipes");
  return existsSync(directory) ? readdirSync(directory) : [];
}

function copiers(box: Sandbox): number[] {
  return box.processes().filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes("_copy");
    } catch {
      return false;
    }
  });
}

/** Starts a script that waits at the gate at the word `WAIT`. */
function startAt(
  box: Sandbox,
  gate: Gate,
  script: string,
  extra: readonly string[] = [],
): Promise<JobAnswer> {
  const [sh, c, wait, ...words] = gate.command;
  const command = [sh!, c!, script.replace("WAIT", wait!), ...words];
  return box.json(["start", "--run-key", "k", ...PIPE, ...extra, "--", ...command]);
}

async function kill(pid: number | null): Promise<void> {
  process.kill(pid!, "SIGKILL");
  await until(`${pid} is gone`, () => !isAlive(pid!));
}

/** Whether a process sleeps in write(2) because its pipe is full. */
function isStuck(pid: number): boolean {
  const [number, fd] = readFileSync(`/proc/${pid}/syscall`, "utf8").split(" ");
  return number === (process.arch === "arm64" ? "64" : "1") && fd === "0x1";
}

test("a command that reopens its stdout or stderr loses nothing", async () => {
  await using box = new Sandbox();
  const script = `echo 1; echo 2 >/dev/stdout; echo 3 >>/dev/stdout; echo 4 | tee /dev/stderr; echo 5 >&2
    echo 6 >/dev/stderr; echo 7 >/proc/self/fd/2; echo 8 | tee /dev/fd/2 >/dev/null`;
  const job = await box.json(["start", "--sync", "--run-key", "k", ...PIPE, "--", "bash", "-c", script]);
  expect(job).toMatchObject({ status: "SUCCEEDED", output: "pipe", warnings: [] });
  expect(readFileSync(job.stdout_file, "utf8")).toBe("1\n2\n3\n4\n");
  expect(readFileSync(job.stderr_file, "utf8")).toBe("4\n5\n6\n7\n8\n");
  const run = await box.run(["run", "--run-key", "k", ...PIPE, "--", "bash", "-c", script]);
  expect(run).toMatchObject({ code: 0, stdout: "1\n2\n3\n4\n", stderr: "4\n5\n6\n7\n8\n" });
  await until("the pipes are gone", () => pipes(box).length === 0);
});

test("when a command's end is known, the log has everything that was in the pipe", async () => {
  await using box = new Sandbox();
  const bytes = new Uint8Array(3_000_017);
  for (let index = 0; index < bytes.length; index++) bytes[index] = (index * 31 + (index >> 8)) & 0xff;
  const input = join(box.directory, "input");
  writeFileSync(input, bytes);
  for (let round = 0; round < 10; round++) {
    const job = await box.json(["start", "--sync", "--run-key", "k", ...PIPE, "--", "cat", input]);
    expect(Bun.hash(readFileSync(job.stdout_file))).toBe(Bun.hash(bytes));
    // Under load the copier pauses between two reads, and the last line arrives in such a pause.
    const script = "for i in 1 2 3 4 5 6 7; do echo $i; sleep 0.003; done; echo last";
    const chatty = await box.json(["start", "--sync", "--run-key", "k", ...PIPE, "--", "sh", "-c", script]);
    expect(readFileSync(chatty.stdout_file, "utf8")).toBe("1\n2\n3\n4\n5\n6\n7\nlast\n");
  }
});

test("a command that cannot be launched leaves no pipe", async () => {
  await using box = new Sandbox();
  const job = await box.json(["start", "--sync", "--run-key", "k", ...PIPE, "--", "/no/such/file"]);
  expect(job).toMatchObject({ status: "FAILED", failure: "not_found" });
  expect(pipes(box)).toEqual([]);
});

for (const look of [
  ["status", "--run-key", "k"],
  ["logs", "--run-key", "k"],
  ["list"],
  ["start", "--run-key", "k", "--", "true"],
]) {
  test(`if the worker is killed while the pipe is full, ${look[0]} has the rest copied`, async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const job = await startAt(box, gate, "echo $$; WAIT; exec seq 1 200000");
    // Stops the worker first, so that the pipe is full when it is killed.
    process.kill(job.worker_pid!, "SIGSTOP");
    gate.open();
    await until("the pipe is full", () => isStuck(job.target_pid!));
    await kill(job.worker_pid);
    expect(isAlive(job.target_pid!)).toBe(true);
    await box.run(look);
    const whole = `${job.target_pid}\n${Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`).join("")}`;
    await until("all is copied", () => statSync(job.stdout_file).size === whole.length);
    expect(readFileSync(job.stdout_file, "utf8")).toBe(whole);
    await until("the pipes are gone", () => pipes(box).length === 0 && copiers(box).length === 0);
    expect(await box.json(["status", "--job-id", job.job_id])).toMatchObject({ status: "LOST" });
  });
}

test("many look-ups at once start one copier, and a look-up while it copies starts no other", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startAt(box, gate, "echo 1; WAIT; echo 2");
  await kill(job.worker_pid);
  await Promise.all(Array.from({ length: 8 }, () => box.run(["status", "--run-key", "k"])));
  await until("one copier", () => copiers(box).length === 1);
  await box.run(["logs", "--run-key", "k"]);
  expect(copiers(box)).toHaveLength(1);
  // The copier is not a process of the job, and does not end with it.
  expect((await box.json(["status", "--run-key", "k"])).orphan_pids).not.toContain(copiers(box)[0]!);
  // A killed copier is replaced.
  await kill(copiers(box)[0]!);
  await box.run(["status", "--run-key", "k"]);
  await until("another copier", () => copiers(box).length === 1);
  gate.open();
  await until("its end", () => copiers(box).length === 0 && pipes(box).length === 0);
  expect(readFileSync(job.stdout_file, "utf8")).toBe("1\n2\n");
});

test("a process of a lost job holds its key by the open pipe", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  // It sheds its session, its parent and its environment.
  const [, , wait] = gate.command;
  const job = await startAt(
    box,
    gate,
    `setsid env -i PATH="$PATH" sh -c '${wait}; echo end' "$0" "$@" & wait`,
  );
  await until("the daemon", () => box.processes().length > 1);
  await kill(job.worker_pid);
  await kill(job.target_pid);
  const refused = await box.run(["start", "--run-key", "k", "--", "true"]);
  expect(refused.code).toBe(4);
  gate.open();
  await until(
    "the key is free",
    async () => (await box.run(["start", "--run-key", "k", "--", "true"])).code === 0,
  );
  await until("its words", () => readFileSync(job.stdout_file, "utf8") === "end\n");
});

test("clean keeps a job whose daemon still writes, and deletes it when the daemon has ended", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startAt(box, gate, `(WAIT; echo late) & echo early`);
  await finishedJob(box, "k");
  const kept = await box.run(["clean", "--keep", "0"]);
  expect(kept).toMatchObject({
    code: 0,
    stderr: expect.stringContaining(`job ${job.job_id} is kept: a process`),
  });
  expect(JSON.parse(kept.stdout)).toMatchObject({ deleted: 0 });
  gate.open();
  await until("the pipes are gone", () => pipes(box).length === 0);
  expect(readFileSync(job.stdout_file, "utf8")).toBe("early\nlate\n");
  expect(await box.json(["clean", "--keep", "0"])).toMatchObject({ deleted: 1 });
});

test("what daemons write after the command's end is copied, by the worker or by its successor", async () => {
  await using box = new Sandbox();
  for (const isKilled of [false, true]) {
    await using gate = new Gate(box, `gate-${isKilled}`);
    const job = await startAt(box, gate, "echo early; (WAIT; echo late) &");
    const ended = await finishedJob(box, "k");
    expect(ended).toMatchObject({ status: "SUCCEEDED", job_id: job.job_id });
    expect(readFileSync(job.stdout_file, "utf8")).toBe("early\n");
    if (isKilled) {
      await kill(job.worker_pid);
      await box.run(["status", "--run-key", "k"]);
      await until("a copier", () => copiers(box).length === 1);
    }
    // The key is free all the same.
    expect(await box.json(["start", "--sync", "--run-key", "k", "--", "true"])).toMatchObject({
      existing: false,
    });
    gate.open();
    await until("the daemon's words", () => readFileSync(job.stdout_file, "utf8") === "early\nlate\n");
    await until("nobody is left", () => !isAlive(job.worker_pid!) && pipes(box).length === 0);
  }
});

test("a log that a rotation truncates continues at its new end", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startAt(box, gate, "seq 1 20; WAIT; seq 21 40");
  await until("the first half", () => readFileSync(job.stdout_file, "utf8").endsWith("20\n"));
  await box.execute(["sh", "-c", `cp "$0" "$0.1"; : >"$0"`, job.stdout_file]);
  gate.open();
  await finishedJob(box, "k");
  const numbers = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, index) => `${from + index}\n`).join("");
  expect(readFileSync(`${job.stdout_file}.1`, "utf8")).toBe(numbers(1, 20));
  expect(readFileSync(job.stdout_file, "utf8")).toBe(numbers(21, 40));
});

test("a rerun keeps the mode, or changes it; clean and doctor know the files", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--sync", "--run-key", "k", ...PIPE, "--", "echo", "x"]);
  expect(await box.json(["rerun", "--sync", "--run-key", "k"])).toMatchObject({ output: "pipe" });
  const file = await box.json(["rerun", "--sync", "--run-key", "k", "--output", "file"]);
  expect(file).toMatchObject({ output: "file" });
  await using gate = new Gate(box);
  const job = await startAt(box, gate, "WAIT");
  expect((await box.run(["doctor"])).code).toBe(0);
  // A worker that is killed with all of its job leaves FIFOs.
  process.kill(job.worker_pid!, "SIGSTOP");
  process.kill(-job.target_pid!, "SIGKILL");
  await kill(job.worker_pid);
  expect(pipes(box)).toHaveLength(2);
  await box.json(["clean", "--before", "2100-01-01"]);
  await box.run(["status", "--run-key", "k"]);
  await until("nothing is left", async () => {
    await box.json(["clean", "--before", "2100-01-01"]);
    return pipes(box).length === 0 && readdirSync(join(box.home, "logs")).length === 0;
  });
});
