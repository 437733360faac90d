/** `quiet_seconds` and `last_line` of a running job, in `status` and `list`. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { appendFileSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Gate } from "../support/gate.ts";
import { lineIn } from "../support/hooks.ts";
import { killAndWait, killWorker } from "../support/processes.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";
import { onTerminal, plainLines } from "../support/terminal.ts";

setDefaultTimeout(TIMEOUT_MS);

interface TellingJob extends JobAnswer {
  readonly quiet_seconds: number | null;
  readonly last_line: string | null;
}

const look = (box: Sandbox) => box.json<TellingJob>(["status", "--run-key", "k"]);

function age(path: string, seconds: number): void {
  const time = Date.now() / 1000 - seconds;
  utimesSync(path, time, time);
}

test("a running job tells its last line, and how long ago it came; a finished one does not", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await box.json<TellingJob>(["start", "--run-key", "k", "--", ...gate.command]);
  expect(job).toMatchObject({ quiet_seconds: null, last_line: null });
  expect(await look(box)).toMatchObject({ last_line: null });
  appendFileSync(job.stdout_file, "first\nsecond\n");
  age(job.stdout_file, 90);
  age(job.stderr_file, 3000);
  const telling = await look(box);
  expect(telling.last_line).toBe("second");
  expect(telling.quiet_seconds).toBeGreaterThan(89);
  expect(telling.quiet_seconds).toBeLessThan(90 + TIMEOUT_MS / 1000);
  // The stream that was written last.
  appendFileSync(job.stderr_file, "warning: slow\n");
  const [listed] = await box.json<TellingJob[]>(["list"]);
  expect(listed!.last_line).toBe("warning: slow");
  expect(listed!.quiet_seconds).toBeLessThan(80);
  expect((await box.json<TellingJob[]>(["status", "--running"]))[0]!.last_line).toBe("warning: slow");
  const { stdout } = await box.run(["list", "--format", "csv", "--fields", "run_key,last_line"]);
  expect(stdout).toContain("k,warning: slow");
  age(job.stdout_file, 5_000);
  age(job.stderr_file, 3_700);
  const fields = ["list", "--fields", "run_key,quiet_seconds,last_line", "--format", "table"];
  expect((await box.run(fields)).stdout).toMatch(
    /^RUN KEY +QUIET SECONDS +LAST LINE\nk +1h1m +warning: slow\n$/,
  );
  // On one screen as well, as far as there is room.
  await box.json(["start", "--run-key", "ended", "--sync", "true"]);
  const [head, running, ended] = (await box.run(["ps", "--format", "table"])).stdout.split("\n");
  expect(head).toMatch(/ STARTED +TOOK +QUIET +JOB ID +COMMAND +LAST LINE$/);
  expect(running).toMatch(/^k .* 1h1m .* warning: slow$/);
  expect(ended).toMatch(/^ended .* 0s +- .* true +-$/);
  for (const [columns, heading] of [
    [80, / STARTED +TOOK +QUIET +JOB ID +COMMAND$/],
    [130, / STARTED +TOOK +QUIET +JOB ID +COMMAND +LAST LINE$/],
  ] as const) {
    const screen = onTerminal(box, ["ps"], { columns });
    await screen.ended();
    const lines = plainLines(screen.shown());
    expect(lines[0]).toMatch(heading);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
  }
  gate.open();
  await box.json(["wait", "--run-key", "k"]);
  expect((await box.run(["ps", "--format", "table"])).stdout).not.toContain("QUIET");
  expect(await look(box)).toMatchObject({ quiet_seconds: null, last_line: null });
  expect((await box.json<TellingJob[]>(["list"]))[0]).toMatchObject({ quiet_seconds: null, last_line: null });
});

test.each([
  ["a progress bar", "begin\n 10%\r 20%\r", "20%"],
  ["blank lines at the end", "said\n\n  \n", "said"],
  ["a line that is not complete", "done\nhalf", "half"],
  ["colors", "\u001b[31mred\u001b[0m\n", "red"],
  ["control characters", "a\u0007b\tc\u202ed\n", "a·b c·d"],
  ["a long line", `short\n${"ü".repeat(300)}\n`, `${"ü".repeat(199)}…`],
  ["a line that is longer than what is read", "€".repeat(9000), `…${"€".repeat(199)}`],
  ["a tail that begins within a character", `${"€".repeat(3000)}\nend`, "end"],
  ["bytes that are not UTF-8", Buffer.from([0x61, 0xff, 0x62, 0x0a]), "a\ufffdb"],
])("the last line of %s", async (_, content, line) => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await box.json(["start", "--run-key", "k", "--", ...gate.command]);
  appendFileSync(job.stdout_file, content);
  expect((await look(box)).last_line).toBe(line);
});

test("logs that are gone, or are no files, are no error", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await box.json(["start", "--run-key", "k", "--", ...gate.command]);
  rmSync(job.stdout_file);
  await box.execute(["mkfifo", job.stdout_file]);
  appendFileSync(job.stderr_file, "told\n");
  expect(await look(box)).toMatchObject({ last_line: "told" });
  rmSync(job.stderr_file);
  expect(await look(box)).toMatchObject({ quiet_seconds: null, last_line: null });
});

test("a lost job tells neither, though its command lives", async () => {
  await using box = new Sandbox();
  const job = await box.json(["start", "--run-key", "k", "--", "sh", "-c", "echo here; sleep 600"]);
  await killWorker(job);
  expect(await look(box)).toMatchObject({ status: "LOST", last_line: null, quiet_seconds: null });
  await killAndWait(job.target_pid!);
  for (const child of box.processes()) process.kill(child, "SIGKILL");
});

test("a command of --on-stall reads the last line, as status would print it", async () => {
  await using box = new Sandbox();
  const words = ["start", "--run-key", "k", "--stall-after", "1", "--on-stall", "cat > told.new; echo told"];
  const script = "echo 'waiting for the lock'; sleep 600";
  const job = await box.json<JobAnswer & { on_stall_file: string }>([...words, "--", "sh", "-c", script]);
  await lineIn(job.on_stall_file);
  const told = JSON.parse(readFileSync(join(box.directory, "told.new"), "utf8")) as TellingJob;
  expect(told.last_line).toBe("waiting for the lock");
  expect(told.quiet_seconds).toBeGreaterThanOrEqual(1);
  await box.json(["cancel", "--run-key", "k"]);
});

test("of a job with a gigantic log only the end is read", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await box.json(["start", "--run-key", "k", "--", ...gate.command]);
  await box.execute(["truncate", "-s", "1T", job.stdout_file]);
  appendFileSync(job.stdout_file, "\nend of it\n");
  expect((await look(box)).last_line).toBe("end of it");
  writeFileSync(job.stdout_file, "");
});
