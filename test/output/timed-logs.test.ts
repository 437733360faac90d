/** logs --stream both, --since and --timestamps: the order and the times of output that went through pipes. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { expectFailure } from "../support/expect.ts";
import { injectFaults } from "../support/faults.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { finishedJob } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { Reading } from "../support/reading.ts";
import { BINARY, isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const PIPE = ["--run-key", "k", "--output", "pipe"] as const;
const BOTH = ["logs", "k", "--stream", "both"] as const;

const indexOf = ({ stdout_file }: JobAnswer) => stdout_file.replace(/stdout$/, "times");

/** Prints what `logs` has; it must succeed. */
async function logs(box: Sandbox, ...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await box.run(["logs", "k", ...words]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

const both = (box: Sandbox, ...words: readonly string[]) => logs(box, "--stream", "both", ...words);

/** Runs a script to its end, each of whose `WAIT`s passes when what came before is in the logs. */
async function runInSteps(box: Sandbox, script: string): Promise<JobAnswer> {
  await using gate = new Gate(box, `gate-${Math.random()}`);
  const words = script.replaceAll("WAIT", `echo >>${gate.path}.waits; ${gate.wait}`);
  const job = await box.json(["start", ...PIPE, "--", "bash", "-c", words]);
  const count = script.split("WAIT").length - 1;
  for (let step = 1; step <= count; step++) {
    await until(
      `step ${step}`,
      () => existsSync(`${gate.path}.waits`) && statSync(`${gate.path}.waits`).size >= step,
    );
    // One entry is written for each part of the script.
    await until("its output", () => statSync(indexOf(job)).size >= step * 16);
    gate.open(1);
  }
  return finishedJob(box, "k");
}

describe("a job that has ended", () => {
  test("--stream both has the lines in the order in which they came", async () => {
    await using box = new Sandbox();
    await runInSteps(box, "echo 1; WAIT; echo 2 >&2; WAIT; echo 3; echo 4; WAIT; echo 5 >&2");
    expect(await both(box)).toBe("1\n2\n3\n4\n5\n");
    expect(await both(box, "--follow")).toBe("1\n2\n3\n4\n5\n");
    // Each stream by itself is as before.
    expect(await logs(box)).toBe("1\n3\n4\n");
  });

  test("a line that comes in parts stays whole, and comes when it ends", async () => {
    await using box = new Sandbox();
    await runInSteps(box, "printf a; WAIT; echo error >&2; WAIT; echo b; WAIT; printf c; WAIT; printf d >&2");
    expect(await both(box)).toBe("error\nab\nc\nd");
    expect(await both(box, "--tail", "2")).toBe("c\nd");
    expect(await both(box, "--tail", "3", "--follow")).toBe("ab\nc\nd");
    expect(await both(box, "--tail", "0")).toBe("");
    expect(await both(box, "--tail", "99")).toBe("error\nab\nc\nd");
  });

  test("what comes on a silent stream is after all that the other had written before", async () => {
    await using box = new Sandbox();
    const script = "for i in $(seq 200); do echo $i; done; echo end >&2";
    for (let round = 0; round < 10; round++) {
      await box.json(["start", "--sync", ...PIPE, "--", "bash", "-c", script]);
      expect(await both(box, "--tail", "1")).toBe("end\n");
    }
  });

  test("--timestamps begins each line with the time when it came", async () => {
    await using box = new Sandbox();
    const before = Date.now();
    await runInSteps(box, "echo one; WAIT; echo two >&2");
    const after = Date.now();
    const shown = await both(box, "--timestamps");
    const lines = [...shown.matchAll(/^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d) (.*)\n/gm)];
    expect(lines.map((line) => line[2])).toEqual(["stdout one", "stderr two"]);
    const [first, second] = lines.map((line) => Date.parse(line[1]!));
    expect(first).toBeGreaterThanOrEqual(before);
    expect(second).toBeGreaterThanOrEqual(first!);
    expect(second).toBeLessThanOrEqual(after);
    // Of one stream, its name is not repeated.
    expect(await logs(box, "--timestamps")).toBe(`${lines[0]![1]} one\n`);
    expect(await logs(box, "--timestamps", "--stream", "stderr")).toBe(`${lines[1]![1]} two\n`);
  });

  test("--since leaves out what came earlier", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const script = `echo old; echo older >&2; printf 'begun and '; ${gate.wait}; echo ended; echo new >&2`;
    const job = await box.json(["start", ...PIPE, "--", "bash", "-c", script]);
    await until("the first part", () => readFileSync(job.stdout_file, "utf8").endsWith("and "));
    await until("the other stream", () => statSync(job.stderr_file).size > 0);
    await until("two entries", () => statSync(indexOf(job)).size >= 32);
    const written = Date.now();
    await until("a later millisecond", () => Date.now() > written);
    const since = ["--since", new Date().toISOString()];
    gate.open();
    await finishedJob(box, "k");
    expect(await logs(box, ...since)).toBe("begun and ended\n");
    expect(await logs(box, ...since, "--stream", "stderr")).toBe("new\n");
    expect((await both(box, ...since)).split("\n").sort()).toEqual(["", "begun and ended", "new"]);
    expect(await both(box, ...since, "--tail", "1", "--follow")).toBe("new\n");
    expect(await logs(box, "--since", "1h")).toBe("old\nbegun and ended\n");
    expect(await both(box, "--since", "2100-01-01")).toBe("");
  });

  test("every byte of a large output arrives, also of lines that do not fit into memory", async () => {
    await using box = new Sandbox();
    const bytes = new Uint8Array(3_000_017);
    for (let index = 0; index < bytes.length; index++) bytes[index] = (index * 31 + (index >> 8)) & 0xff;
    const input = `${box.directory}/input`;
    writeFileSync(input, bytes);
    await box.json(["start", "--sync", ...PIPE, "--", "cat", input]);
    const child = box.spawn([BINARY, ...BOTH]);
    expect(Bun.hash(await new Response(child.stdout).bytes())).toBe(Bun.hash(bytes));
    const one = ["bash", "-c", "head -c 1000000 /dev/zero; echo; echo x"];
    await box.json(["start", "--sync", ...PIPE, "--", ...one]);
    expect(await both(box, "--tail", "1")).toBe("x\n");
    expect(await both(box)).toBe(`${"\0".repeat(1_000_000)}\nx\n`);
    expect((await both(box, "--timestamps")).replace(/\0+/, "")).toMatch(/^\S+ stdout \n\S+ stdout x\n$/);
  });
});

describe("a job that runs", () => {
  test("--follow shows the lines as they come, and ends with the job", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const script = `echo 1; ${gate.wait}; echo 2 >&2; ${gate.wait}; printf 3; echo 4 >&2; ${gate.wait}`;
    await box.json(["start", ...PIPE, "--", "bash", "-c", script]);
    const [all, some] = [
      [...BOTH, "--follow"],
      [...BOTH, "--follow", "--tail", "1", "--timestamps"],
    ].map((words) => box.spawn([BINARY, ...words]));
    const [reading, last] = [new Reading(all!.stdout), new Reading(some!.stdout)];
    await Promise.all([reading.until("1\n"), last.until("1\n")]);
    gate.open(1);
    expect(await reading.until("2\n")).toBe("1\n2\n");
    gate.open(1);
    expect(await reading.until("4\n")).toBe("1\n2\n4\n");
    // What has no end yet is shown without --follow.
    expect(await both(box)).toBe("1\n2\n4\n3");
    gate.open();
    expect(await reading.all()).toBe("1\n2\n4\n3");
    expect(await last.all()).toMatch(/^\S+ stdout 1\n\S+ stderr 2\n\S+ stderr 4\n\S+ stdout 3$/);
    expect([await all!.exited, await some!.exited]).toEqual([0, 0]);
  });

  test("a log that is truncated is shown from its new beginning", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const script = `echo before; echo e1 >&2; ${gate.wait}; echo new; ${gate.wait}`;
    const job = await box.json(["start", ...PIPE, "--", "bash", "-c", script]);
    await until("both are there", () => statSync(indexOf(job)).size >= 32);
    const following = box.spawn([BINARY, ...BOTH, "--follow"]);
    const reading = new Reading(following.stdout);
    await reading.until("e1");
    truncateSync(job.stdout_file, 0);
    gate.open(1);
    await reading.until("new\n");
    expect(await both(box)).toBe("e1\nnew\n");
    gate.open();
    expect((await reading.all()).split("\n").sort()).toEqual(["", "before", "e1", "new"]);
    expect(await new Response(following.stderr).text()).toContain("was truncated (after 7 bytes)");
  });

  test("if the worker is killed, its successor continues the index", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const script = `echo 1; ${gate.wait}; echo 2 >&2; ${gate.wait}; echo 3`;
    const job = await box.json(["start", ...PIPE, "--", "bash", "-c", script]);
    await until("the first line", () => statSync(indexOf(job)).size >= 16);
    process.kill(job.worker_pid!, "SIGKILL");
    await until("the worker is gone", () => !isAlive(job.worker_pid!));
    await box.run(["status", "--run-key", "k"]);
    gate.open(1);
    await until("the second line", () => statSync(indexOf(job)).size >= 32);
    gate.open(1);
    await until("the third line", () => statSync(indexOf(job)).size >= 48);
    expect(await both(box)).toBe("1\n2\n3\n");
    await until("nobody is left", () => readdirSync(`${box.home}/pipes`).length === 0);
  });

  testWith(["strace"], "a disk that is too full for the index costs no output", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const script = `echo 1; ${gate.wait}; echo 2 >&2; echo 3`;
    const job = await box.json(["start", ...PIPE, "--", "bash", "-c", script]);
    await until("the first line", () => statSync(indexOf(job)).size === 16);
    const faults = await injectFaults(box, job.worker_pid!, "write:error=ENOSPC");
    gate.open();
    expect(await finishedJob(box, "k")).toMatchObject({ status: "SUCCEEDED" });
    await faults.heal();
    expect(statSync(indexOf(job)).size).toBe(16);
    expect(await both(box)).toBe("1\n3\n2\n");
  });
});

test("--follow goes on with the attempts after a failed one", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `echo $ORCHESJOB_ATTEMPT; ${gate.wait}; echo end >&2; test $ORCHESJOB_ATTEMPT -eq 2`;
  const retries = ["--retries", "1", "--retry-delay", "0"];
  await box.json(["start", ...PIPE, ...retries, "--", "bash", "-c", script]);
  const following = box.spawn([BINARY, ...BOTH, "--follow", "--tail", "1"]);
  const reading = new Reading(following.stdout);
  await reading.until("1\n");
  gate.open(1);
  await reading.until("2\n");
  gate.open(1);
  expect(await reading.all()).toBe("1\nend\n2\nend\n");
  expect(await new Response(following.stderr).text()).toContain("attempt 2 follows now");
});

describe("an index that is not as it should be", () => {
  test("entries that are missing cost order and time, and no output", async () => {
    await using box = new Sandbox();
    const job = await runInSteps(
      box,
      "echo 1; WAIT; echo 2 >&2; WAIT; echo 3; WAIT; echo 4 >&2; WAIT; echo 5",
    );
    const entries = readFileSync(indexOf(job));
    expect(entries.length).toBe(5 * 16);
    // A copier that was killed before it wrote the third.
    writeFileSync(indexOf(job), Buffer.concat([entries.subarray(0, 32), entries.subarray(48)]));
    expect(await both(box)).toBe("1\n2\n4\n3\n5\n");
    // Half of an entry, and the zeros of a power cut.
    for (const tail of [new Uint8Array(7), new Uint8Array(16), new Uint8Array(4096)]) {
      writeFileSync(indexOf(job), entries.subarray(0, 48));
      appendFileSync(indexOf(job), tail);
      expect(await both(box)).toBe("1\n2\n3\n5\n4\n");
      expect(await both(box, "--follow", "--tail", "2")).toBe("5\n4\n");
    }
    truncateSync(indexOf(job), 0);
    expect(await both(box)).toBe("1\n3\n5\n2\n4\n");
    expect(await both(box, "--since", "1h", "--timestamps")).toMatch(/^(\S+ (stdout|stderr) \d\n){5}$/);
  });

  /** An entry as the copier writes it: see state/output-index.ts. */
  function entry(timeMs: number, stream: 0 | 1, end: number | bigint): Uint8Array {
    return new Uint8Array(new BigUint64Array([BigInt(2 * timeMs + stream), BigInt(end)]).buffer);
  }

  test("an entry that cannot be true counts as missing", async () => {
    await using box = new Sandbox();
    const job = await runInSteps(box, "echo 1; WAIT; echo 2 >&2; WAIT; echo 3");
    const entries = readFileSync(indexOf(job));
    const now = Date.now();
    const minutes = 60_000;
    const started = Date.parse(job.started_at);
    for (const wrong of [
      entry(started - 2 * minutes, 1, 2),
      entry(now + 60 * minutes, 1, 2),
      entry(2 ** 60, 1, 2),
      entry(now, 1, 3),
      entry(now, 1, 2 ** 40),
      entry(now, 1, 2n ** 64n - 1n),
    ]) {
      writeFileSync(indexOf(job), Buffer.concat([entries.subarray(0, 16), wrong, entries.subarray(32)]));
      expect(await both(box)).toBe("1\n3\n2\n");
      const timed = await both(box, "--timestamps", "--follow");
      const times = timed
        .trimEnd()
        .split("\n")
        .map((line) => Date.parse(line.split(" ")[0]!));
      expect(times.length).toBe(3);
      for (const time of times) {
        expect(time).toBeGreaterThanOrEqual(started);
        expect(time).toBeLessThanOrEqual(now);
      }
    }
    // A length that goes backwards takes their place from the entries before it, but no output.
    for (const end of [0, 1]) {
      writeFileSync(indexOf(job), Buffer.concat([entries, entry(now, 0, end)]));
      for (const words of [[], ["--follow"]])
        expect((await both(box, ...words)).split("\n").sort()).toEqual(["", "1", "2", "3"]);
    }
    for (let round = 0; round < 5; round++) {
      writeFileSync(indexOf(job), crypto.getRandomValues(new Uint8Array(4_096)));
      for (const words of [[], ["--follow"], ["--since", "1h"], ["--tail", "3"]])
        expect(await both(box, ...words)).toBe("1\n3\n2\n");
    }
  });

  test("is only read as far as the logs explain it", async () => {
    await using box = new Sandbox();
    const job = await runInSteps(box, "echo 1; WAIT; echo 2 >&2; WAIT; echo 3");
    truncateSync(indexOf(job), 2 ** 42);
    expect(await both(box)).toBe("1\n2\n3\n");
    expect(await both(box, "--follow", "--tail", "2", "--since", "1h")).toBe("2\n3\n");
  });

  test("what is no file in its place counts as no index", async () => {
    await using box = new Sandbox();
    const job = await runInSteps(box, "echo 1");
    const index = indexOf(job);
    const target = `${box.directory}/target`;
    for (const make of [
      () => mkdirSync(index),
      () => Bun.spawnSync(["mkfifo", index]),
      () => symlinkSync("/dev/zero", index),
      () => symlinkSync(index, index),
      () => (mkdirSync(target), symlinkSync(target, index)),
    ]) {
      rmSync(index, { recursive: true });
      make();
      for (const words of [BOTH, [...BOTH, "--follow"], ["logs", "k", "--timestamps"]])
        expectFailure(
          await box.run(words),
          4,
          /nobody knows when and in which order .*times is gone, or could not be written.* orchesjob attach --job-id/,
        );
    }
  });

  test("a FIFO in its place does not stop the successor of a killed worker", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const job = await box.json(["start", ...PIPE, "--", "bash", "-c", `echo 1; ${gate.wait}; echo 2`]);
    await until("the first line", () => statSync(indexOf(job)).size >= 16);
    process.kill(job.worker_pid!, "SIGKILL");
    await until("the worker is gone", () => !isAlive(job.worker_pid!));
    unlinkSync(indexOf(job));
    Bun.spawnSync(["mkfifo", indexOf(job)]);
    await box.run(["status", "--run-key", "k"]);
    gate.open();
    await until("the second line", () => readFileSync(job.stdout_file, "utf8") === "1\n2\n");
    await until("nobody is left", () => readdirSync(`${box.home}/pipes`).length === 0);
  });

  test("without it, or without a log, logs says so", async () => {
    await using box = new Sandbox();
    const job = await runInSteps(box, "echo 1");
    unlinkSync(job.stderr_file);
    expectFailure(await box.run(BOTH), 4, /the stderr of job \S+ is gone/);
    expect(await logs(box, "--timestamps")).toMatch(/^\S+ 1\n$/);
    unlinkSync(indexOf(job));
    const message = /nobody knows when and in which order .*times is gone.* orchesjob attach --job-id/;
    for (const words of [BOTH, [...BOTH, "--follow"], ["logs", "k", "--timestamps"]])
      expectFailure(await box.run(words), 4, message);
  });
});

test("of a job without --output pipe the order is not known, and logs says so", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await startWaiting(box, "k", gate);
  for (const words of [
    ["--stream", "both"],
    ["--stream", "both", "--follow"],
    ["--timestamps"],
    ["--since", "10m"],
  ])
    expectFailure(
      await box.run(["logs", "k", ...words]),
      4,
      /nobody knows when and in which order the output of job \S+ came: it was not started with --output pipe; see/,
    );
});

test("a command that could not be launched has no lines", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--sync", ...PIPE, "--", "/no/such/file"]);
  expect(await both(box)).toBe("");
  expect(await both(box, "--follow", "--tail", "3")).toBe("");
});

test("a reader that closes the pipe causes no error", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--sync", ...PIPE, "--", "seq", "100000"]);
  const script = `{ "$0" logs k --stream both; echo $? >&2; } | head -1`;
  expect(await box.execute(["sh", "-c", script, BINARY])).toMatchObject({ stdout: "1\n", stderr: "0\n" });
});

test("the index is the owner's alone, and clean deletes it", async () => {
  await using box = new Sandbox();
  const job = await runInSteps(box, "echo 1");
  expect(statSync(indexOf(job)).mode & 0o777).toBe(0o600);
  expect(await box.json(["clean", "--keep", "0"])).toMatchObject({ deleted: 1, stray_files: 0 });
  await until("its pipes are gone", () => readdirSync(`${box.home}/pipes`).length === 0);
  expect(readdirSync(`${box.home}/logs`)).toEqual([]);
});
