/** `run` behaves like the command itself: its streams as they come, byte for byte, and its exit code. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Gate } from "../support/gate.ts";
import { killWorker, statusOf } from "../support/processes.ts";
import { Reading } from "../support/reading.ts";
import { BINARY, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { shell } from "../support/shell.ts";

setDefaultTimeout(TIMEOUT_MS);

test("a line appears while the command still runs, on the stream that it was written to", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `echo first; echo aside >&2; ${gate.wait}; echo last`;
  const caller = box.spawn([BINARY, "run", "--run-key", "k", "--", "sh", "-c", script]);
  const stdout = new Reading(caller.stdout);
  const stderr = new Reading(caller.stderr);
  expect(await stdout.until("first\n")).toBe("first\n");
  expect(await stderr.until("aside\n")).toBe("aside\n");
  expect((await statusOf(box, "k")).status).toBe("RUNNING");
  gate.open();
  expect([await stdout.all(), await stderr.all()]).toEqual(["first\nlast\n", "aside\n"]);
  expect(await caller.exited).toBe(0);
});

describe("exit codes", () => {
  // Also those of env(1) and timeout(1) are the command's own here, without a message.
  const own = [0, 1, 2, 3, 4, 5, 42, 100, 123, 124, 125, 126, 127, 128, 129, 143, 200, 254, 255];
  test("the command's own code is passed on, whatever it is, in silence", async () => {
    await using box = new Sandbox();
    for (const code of own) {
      const result = await box.run(["run", "--run-key", "k", "--", "sh", "-c", `exit ${code}`]);
      expect(result).toEqual({ code, signal: null, stdout: "", stderr: "" });
    }
    const { length } = await box.json<unknown[]>(["status", "--run-key", "k", "--all"]);
    expect(length).toBe(own.length);
  });

  test.each([
    ["HUP", 129],
    ["INT", 130],
    ["QUIT", 131],
    ["ABRT", 134],
    ["KILL", 137],
    ["SEGV", 139],
    ["PIPE", 141],
    ["TERM", 143],
    ["USR1", 138],
  ])("a command ended by SIG%s: %d", async (signal, code) => {
    await using box = new Sandbox();
    const script = `ulimit -c 0; kill -${signal} $$`;
    expect(await box.run(["run", "--run-key", "k", "--", "sh", "-c", script])).toMatchObject({
      code,
      stdout: "",
    });
    expect(await statusOf(box, "k")).toMatchObject({ status: "FAILED", signal: `SIG${signal}` });
  });

  test("a command that is not found: 127, one that cannot be executed: 126, and stderr says why", async () => {
    await using box = new Sandbox();
    writeFileSync(join(box.directory, "text"), "no program", { mode: 0o644 });
    const missing = await box.run(["run", "--run-key", "k", "--", "no-such-command"]);
    expect(missing).toMatchObject({ code: 127, stdout: "" });
    expect(missing.stderr).toContain('command not found: "no-such-command"');
    for (const file of ["./text", "/"]) {
      const refused = await box.run(["run", "--run-key", "k", "--", file]);
      expect(refused).toMatchObject({ code: 126, stdout: "" });
      expect(refused.stderr).toContain(JSON.stringify(file));
    }
  });

  test("a job whose worker was killed: 125, with its id and the commands to look further", async () => {
    await using box = new Sandbox();
    const caller = box.spawn([
      BINARY,
      "run",
      "--run-key",
      "k",
      "--",
      "sh",
      "-c",
      "echo begun; exec sleep 600",
    ]);
    await new Reading(caller.stdout).until("begun\n");
    const job = await until("its process is recorded", async () => {
      const seen = await statusOf(box, "k");
      return seen.target_pid !== null && seen;
    });
    await killWorker(job);
    const stderr = await new Response(caller.stderr).text();
    process.kill(job.target_pid!, "SIGKILL");
    expect(await caller.exited).toBe(125);
    expect(stderr.split("\n")[0]).toBe(
      `orchesjob: job ${job.job_id} is lost (worker_killed): its worker is gone, so its result is unknown; its output: orchesjob logs --job-id ${job.job_id}; all that is known: orchesjob status --job-id ${job.job_id}`,
    );
    expect((await box.run(["logs", "--job-id", job.job_id])).stdout).toBe("begun\n");
  });

  test("a working directory that does not exist is orchesjob's own failure: 125", async () => {
    await using box = new Sandbox();
    const result = await box.run(["run", "--run-key", "k", "--cwd", "/no/such", "--", "true"]);
    expect(result).toMatchObject({ code: 125, stdout: "" });
    expect(result.stderr).toContain("/no/such");
  });

  test("timed out: 124, and stderr says after which time", async () => {
    await using box = new Sandbox();
    const result = await box.run(["run", "--run-key", "k", "--timeout", "1", "--", "sleep", "600"]);
    expect(result).toMatchObject({ code: 124, stdout: "" });
    expect(result.stderr).toContain("timed out after 1s");
  });
});

test("all 256 bytes in any order arrive exactly, on both streams", async () => {
  await using box = new Sandbox();
  const paths = ["in-out", "in-err", "out", "err"].map((name) => join(box.directory, name));
  const [inOut, inErr] = [0, 1].map((shift) =>
    Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7 + (index >> 8) + shift) & 0xff),
  );
  writeFileSync(paths[0]!, inOut!);
  writeFileSync(paths[1]!, inErr!);
  const script = `"$0" run --run-key k -- sh -c 'cat in-out; cat in-err >&2' >out 2>err`;
  expect((await shell(box, script)).code).toBe(0);
  expect(Buffer.compare(readFileSync(paths[2]!), inOut!)).toBe(0);
  expect(Buffer.compare(readFileSync(paths[3]!), inErr!)).toBe(0);
});

test("a line appears before it is complete, and no line end is added", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const caller = box.spawn([
    ...[BINARY, "run", "--run-key", "k", "--", "sh", "-c"],
    `printf half; ${gate.wait}; printf " and half"`,
  ]);
  const stdout = new Reading(caller.stdout);
  expect(await stdout.until("half")).toBe("half");
  gate.open();
  expect(await stdout.all()).toBe("half and half");
});

describe("callers that attach", () => {
  test.each([2, 10])("%d callers of one key run it once, and each sees all of it", async (count) => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const script = `echo out $ORCHESJOB_JOB_ID; echo err >&2; echo run >> runs; ${gate.wait}; echo end; exit 9`;
    const callers = Array.from({ length: count }, () =>
      box.spawn([BINARY, "run", "--run-key", "k", "--", "sh", "-c", script]),
    );
    const outputs = callers.map((caller) => new Reading(caller.stdout));
    await Promise.all(outputs.map((output) => output.until("out ")));
    // A late caller also sees it from its first byte.
    const late = box.spawn([BINARY, "run", "--run-key", "k", "--", "sh", "-c", script]);
    const all = [...outputs, new Reading(late.stdout)];
    await all[count]!.until("out ");
    const { job_id: id } = await statusOf(box, "k");
    gate.open();
    expect(await Promise.all(all.map((output) => output.all()))).toEqual(
      Array.from({ length: count + 1 }, () => `out ${id}\nend\n`),
    );
    for (const caller of [...callers, late]) {
      expect(await new Response(caller.stderr).text()).toBe("err\n");
      expect(await caller.exited).toBe(9);
    }
    expect(readFileSync(join(box.directory, "runs"), "utf8")).toBe("run\n");
  });

  test("a caller with another command gets a message about that, and sees the job's output", async () => {
    await using box = new Sandbox();
    const ask = (command: string) =>
      box.run(["run", "--run-key", "k", "--if-succeeded", "return", "--", "echo", command]);
    expect(await ask("first")).toMatchObject({ code: 0, stdout: "first\n", stderr: "" });
    const { job_id: id } = await statusOf(box, "k");
    expect(await ask("second")).toMatchObject({
      ...{ code: 0, stdout: "first\n" },
      stderr: `orchesjob: this is job ${id}, whose command is not the one asked for; see it: orchesjob status --job-id ${id}\n`,
    });
  });

  test("a finished job that is the answer is shown as if it ran", async () => {
    await using box = new Sandbox();
    const words = ["run", "--run-key", "k", "--strict", "--", "sh", "-c", "echo ran | tee -a runs; exit 6"];
    for (let round = 0; round < 2; round++)
      expect(await box.run(words)).toMatchObject({ code: 6, stdout: "ran\n" });
    expect(readFileSync(join(box.directory, "runs"), "utf8")).toBe("ran\n");
  });

  test("a cancelled job ends its callers with 143, even if it exited 0 on TERM, and they say why", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const script = `trap 'exit 0' TERM; echo ready; while :; do ${gate.wait}; done`;
    const caller = box.spawn([BINARY, "run", "--run-key", "k", "--", "sh", "-c", script]);
    const stdout = new Reading(caller.stdout);
    await stdout.until("ready");
    await box.json(["cancel", "--run-key", "k", "--reason", "wrong day"]);
    expect(await caller.exited).toBe(143);
    expect(await new Response(caller.stderr).text()).toContain("was cancelled: wrong day");
  });
});
