/** `attach`: both streams of a job and its exit code. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, statSync, truncateSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { expectFailure } from "../support/expect.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { finishedJob } from "../support/jobs.ts";
import { Reading } from "../support/reading.ts";
import { BINARY, isAlive, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { shell } from "../support/shell.ts";

setDefaultTimeout(TIMEOUT_MS);

const ATTACH = ["attach", "--run-key", "k"] as const;

test("shows both streams as they come, and exits with the job's code", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `echo o1; echo e1 >&2; ${gate.wait}; echo o2; echo e2 >&2; exit 7`;
  await box.json(["start", "--run-key", "k", "--", "sh", "-c", script]);
  const attached = box.spawn([BINARY, ...ATTACH]);
  const [stdout, stderr] = [new Reading(attached.stdout), new Reading(attached.stderr)];
  await Promise.all([stdout.until("o1\n"), stderr.until("e1\n")]);
  gate.open();
  expect(await stdout.all()).toBe("o1\no2\n");
  expect(await stderr.all()).toBe("e1\ne2\n");
  expect(await attached.exited).toBe(7);
});

test("of a finished job shows all of it; a cursor skips what was seen", async () => {
  await using box = new Sandbox();
  const script = "printf 0123; printf abc >&2; kill -USR1 $$";
  await box.json(["start", "--sync", "--run-key", "k", "--", "sh", "-c", script]);
  expect(await box.run(ATTACH)).toMatchObject({ code: 138, stdout: "0123", stderr: "abc" });
  const rest = await box.run([...ATTACH, "--stdout-from", "2", "--stderr-from", "3"]);
  expect(rest).toMatchObject({ code: 138, stdout: "23", stderr: "" });
  const beyond = await box.run([...ATTACH, "--stdout-from", "5"]);
  // 125: a failure of orchesjob, where the exit code is the job's.
  expectFailure(beyond, 125, /--stdout-from 5 is beyond the end of the stdout of job \S+, which has 4 bytes/);
  const large = await box.run([...ATTACH, "--stdout-from", "9".repeat(16)]);
  expectFailure(large, 125, /--stdout-from "9{16}" is too large: at most 9{15}/);
});

test("never starts a job", async () => {
  await using box = new Sandbox();
  expectFailure(await box.run(ATTACH), 125, /no job of run key "k"/);
  await box.json(["start", "--sync", "--run-key", "k", "--", "false"]);
  expect(await box.run(ATTACH)).toMatchObject({ code: 1, stdout: "", stderr: "" });
  expect(await box.json(["status", "--run-key", "k", "--all"])).toHaveLength(1);
});

test("says how a job ended whose exit code does not say it", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  const attached = box.spawn([BINARY, ...ATTACH]);
  await box.json(["cancel", "--run-key", "k", "--reason", "wrong host"]);
  const finished = await box.finished(attached);
  expect(finished.code).toBe(143);
  expect(finished.stderr).toBe(`orchesjob: job ${job.job_id} was cancelled: wrong host\n`);
});

test("a signal ends attach, and not the job", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `echo ready; ${gate.wait}`;
  const job = await box.json(["start", "--run-key", "k", "--", "sh", "-c", script]);
  const attached = box.spawn([BINARY, ...ATTACH]);
  await new Reading(attached.stdout).until("ready");
  attached.kill("SIGTERM");
  expect(await new Response(attached.stderr).text()).toContain(`left job ${job.job_id}`);
  expect([await attached.exited, attached.signalCode]).toEqual([143, "SIGTERM"]);
  expect(isAlive(job.target_pid!)).toBe(true);
  gate.open();
  expect(await finishedJob(box, "k")).toMatchObject({ status: "SUCCEEDED" });
});

test("a reader that has gone ends attach, and not the job", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `echo ready; ${gate.wait}; seq 100000`;
  await box.json(["start", "--run-key", "k", "--", "sh", "-c", script]);
  const reading = shell(box, `{ "$0" attach --run-key k; echo "code $?" >&2; } | head -1`);
  gate.open();
  expect(await reading).toMatchObject({ stdout: "ready\n", stderr: "code 141\n" });
  expect(await finishedJob(box, "k")).toMatchObject({ status: "SUCCEEDED" });
});

test("refuses to follow the job that it is part of", async () => {
  await using box = new Sandbox();
  const script = `"$0" attach --run-key k; echo $?`;
  await box.json(["start", "--sync", "--run-key", "k", "--", "sh", "-c", script, BINARY]);
  expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe("125\n");
});

test("an answer that a deleted or a truncated log makes impossible is an error, with the way out", async () => {
  await using box = new Sandbox();
  const json = [...ATTACH, "--format", "json"];
  const job = await box.json(["start", "--sync", "--run-key", "k", "--", "echo", "12345"]);
  truncateSync(job.stdout_file, 2);
  const beyond = await box.run([...json, "--stdout-from", "6"]);
  expectFailure(beyond, 4, /which has 2 bytes: it was truncated.*begin again: --stdout-from 0/);
  unlinkSync(job.stderr_file);
  expectFailure(await box.run(json), 4, /the stderr of job \S+ is gone/);
  // What is left is shown. The exit code is not the job's: it would say that this was all.
  for (const words of [
    ATTACH,
    ["run", "--run-key", "k", "--if-succeeded", "return", "--", "echo", "12345"],
  ]) {
    const shown = await box.run(words);
    expect(shown).toMatchObject({ code: 125, stdout: "12" });
    expect(shown.stderr).toMatch(
      /the stderr of job \S+ is gone: .*\n.* is SUCCEEDED \(exit code 0\), but its output/,
    );
  }
  // A log that goes while the job runs is no empty log.
  await using gate = new Gate(box);
  const running = await startWaiting(box, "k", gate);
  unlinkSync(running.stdout_file);
  expectFailure(await box.run([...json, "--wait", "1h"]), 4, /the stdout of job \S+ is gone/);
});

test.each(["attach -k k", "run -k k -- x"])(
  "%s ends with an error after a log that was truncated before its reader had it",
  async (words) => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await using reader = new Gate(box, "reader");
    const script = `echo seen >&2; head -c 3000000 /dev/zero; ${gate.wait}; echo end; echo new >&2`;
    const job = await box.json(["start", "--run-key", "k", "--", "sh", "-c", script]);
    await until("all is written", () => statSync(job.stdout_file).size === 3_000_000);
    const slow = `{ head -c 100000 > got; ${reader.wait}; cat >> got; }`;
    const caller = shell(box, `{ "$0" ${words} 2>said; echo "code $?" >&2; } | ${slow}`);
    const sizeOf = (name: string) =>
      statSync(join(box.directory, name), { throwIfNoEntry: false })?.size ?? 0;
    await until("the reader waits", () => sizeOf("got") === 100_000);
    truncateSync(job.stdout_file, 0);
    reader.open();
    // What a reader has seen already may be truncated.
    await until("stderr is shown", () => readFileSync(join(box.directory, "said"), "utf8").includes("seen"));
    truncateSync(job.stderr_file, 0);
    gate.open();
    expect(await caller).toMatchObject({ stderr: "code 125\n" });
    expect(readFileSync(join(box.directory, "got"), "latin1")).toEndWith("\0end\n");
    expect(sizeOf("got")).toBeLessThan(3_000_000);
    const said = readFileSync(join(box.directory, "said"), "utf8");
    expect(said).toContain("new\n");
    expect(said).toContain(`the stdout of job ${job.job_id} was truncated before all of it was shown`);
    expect(said).not.toContain(`the stderr of job ${job.job_id} was truncated before`);
  },
);

test("options of the bounded call need --format json", async () => {
  await using box = new Sandbox();
  for (const option of [
    ["--wait", "5s"],
    ["--wait", "0"],
    ["--max-bytes", "4"],
  ])
    expectFailure(await box.run([...ATTACH, ...option]), 125, new RegExp(`${option[0]} needs --format json`));
  expect(await until("no process", () => box.processes().length === 0)).toBe(true);
});
