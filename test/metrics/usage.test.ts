/** What a finished job has used: as the kernel has counted it, and null where nobody has. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { statfsSync } from "node:fs";
import { join } from "node:path";
import { Gate, startWaiting } from "../support/gate.ts";
import { parseExposition } from "../support/exposition.ts";
import { killAndWait, killWorker, statusOf } from "../support/processes.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

interface Used extends JobAnswer {
  readonly cpu_seconds: number | null;
  readonly max_rss_bytes: number | null;
  readonly io_read_bytes: number | null;
  readonly io_write_bytes: number | null;
}

const UNKNOWN = { cpu_seconds: null, max_rss_bytes: null, io_read_bytes: null, io_write_bytes: null };

const MEMORY_BYTES = 200_000_000;
const FILE_BYTES = 5_000_000;
const CPU_SECONDS = 0.3;

/** Uses that much memory and time, and writes a file. */
const program = (file: string) => `
  const filled = Buffer.alloc(${MEMORY_BYTES}, 1);
  const fs = require("node:fs");
  const fd = fs.openSync(${JSON.stringify(file)}, "w");
  fs.writeSync(fd, filled.subarray(0, ${FILE_BYTES}));
  fs.fsyncSync(fd);
  for (;;) {
    const { user, system } = process.cpuUsage();
    if (user + system > ${CPU_SECONDS * 1e6}) break;
  }`;

/** Its files are in memory: nothing goes to storage. */
const TMPFS = 0x01021994;

function start(box: Sandbox, key: string, ...words: readonly string[]): Promise<Used> {
  return box.json<Used>(["start", "--run-key", key, "--sync", ...words]);
}

test("a command that ended, with the children that it waited for", async () => {
  await using box = new Sandbox();
  const script = program(join(box.directory, "file"));
  const job = await start(box, "k", "--", "sh", "-c", '"$0" -e "$1"; true', process.execPath, script);
  expect(job.cpu_seconds!).toBeGreaterThanOrEqual(CPU_SECONDS);
  expect(job.cpu_seconds!).toBeLessThan(60);
  expect(job.max_rss_bytes!).toBeGreaterThanOrEqual(MEMORY_BYTES);
  expect(job.max_rss_bytes!).toBeLessThan(10 * MEMORY_BYTES);
  const written = statfsSync(box.directory).type === TMPFS ? 0 : FILE_BYTES;
  expect(job.io_write_bytes!).toBeGreaterThanOrEqual(written);
  expect(job.io_write_bytes!).toBeLessThan(written + FILE_BYTES);
  expect(job.io_read_bytes!).toBeGreaterThanOrEqual(0);
  const told = Object.keys(UNKNOWN).map((name) => [name, job[name as keyof Used]]);
  expect(await statusOf(box, "k")).toMatchObject(Object.fromEntries(told));
});

test("metrics have it of the newest finished job of a key", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = program(join(box.directory, "file"));
  const { cpu_seconds, max_rss_bytes } = await start(box, "k", "--", process.execPath, "-e", script);
  const active = await startWaiting(box, "k", gate);
  const job = await start(box, "missing", "--", "/no/such/program");
  expect(job).toMatchObject({ status: "FAILED", ...UNKNOWN });
  const found = parseExposition((await box.run(["metrics"])).stdout);
  const samples = (name: string) => found.samples.filter((each) => each.name === `orchesjob_${name}`);
  const labels = { run_key: "k" };
  expect(samples("last_cpu_seconds")).toEqual([
    expect.objectContaining({ labels, value: cpu_seconds! }),
  ] as never);
  expect(samples("last_max_rss_bytes")).toEqual([
    expect.objectContaining({ labels, value: max_rss_bytes! }),
  ] as never);
  expect(samples("last_io_write_bytes").map((each) => each.labels)).toEqual([labels]);
  expect(samples("last_io_read_bytes").map((each) => each.labels)).toEqual([labels]);
  expect(await statusOf(box, "k")).toMatchObject({ job_id: active.job_id, ...UNKNOWN });
});

test("the memory of a small command is not known: the kernel's count begins with that of the worker", async () => {
  await using box = new Sandbox();
  expect((await start(box, "k", "--", "true")).max_rss_bytes).toBeNull();
});

test("a job that is cancelled has it; a job that is lost has not", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await startWaiting(box, "cancelled", gate);
  const cancelled = await box.json<Used>(["cancel", "--run-key", "cancelled"]);
  expect(cancelled.cpu_seconds!).toBeGreaterThanOrEqual(0);
  const lost = await startWaiting(box, "lost", gate);
  await killWorker(lost);
  await killAndWait(lost.target_pid!);
  expect(await statusOf(box, "lost")).toMatchObject({ status: "LOST", ...UNKNOWN });
});
