/** Growth: what a long history costs commands that do not read it, how fast `clean` is, and how much disk a job takes. */
import { Database } from "bun:sqlite";
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setVariable } from "../../src/linux/ffi/environment.ts";
import { closeFile, openFile } from "../../src/linux/file.ts";
import { atLeast, type Row, type Section } from "./report.ts";
import { ask, median, time } from "./stopwatch.ts";

export interface GrowthOptions {
  readonly binary: string;
  readonly scratch: string;
  /** Finished jobs in the long history; half of them are cleaned, without log files. */
  readonly jobs: number;
  /** Jobs to clean that have both files. */
  readonly jobsWithFiles: number;
  readonly rounds: number;
}

/** The largest allowed ratio to the same command in a directory of few jobs. */
const WANTED = 1.15;

export async function measureGrowth(options: GrowthOptions): Promise<Section> {
  const { binary, scratch, jobs, jobsWithFiles, rounds } = options;
  const few = makeHome(binary, join(scratch, "few"));
  const many = makeHome(binary, join(scratch, "many"));
  const emptyBytes = databaseBytes(many);
  fill(many, jobs, false);
  const rows = await compare(binary, few, many, rounds);

  const fullBytes = databaseBytes(many);
  const half = jobs / 2;
  const rate = timeClean(binary, many, 0, half);
  const halfBytes = databaseBytes(many);
  const restRate = timeClean(binary, many, half, half);
  const files = makeHome(binary, join(scratch, "files"));
  fill(files, jobsWithFiles, true);
  const fileRate = timeClean(binary, files, 0, jobsWithFiles);
  return {
    title: `Growth: ${count(jobs)} finished jobs, against a directory of few`,
    rows: [
      ...rows,
      atLeast(`clean of ${count(half)} without files`, rate, 50_000, "jobs/s"),
      atLeast(`clean of the other ${count(half)}`, restRate, 50_000, "jobs/s"),
      atLeast(`clean of ${count(jobsWithFiles)} with both files`, fileRate, 10_000, "jobs/s"),
      { name: "database, a job", value: `${Math.round((fullBytes - emptyBytes) / jobs)} bytes` },
      { name: "database, empty", value: megabytes(emptyBytes) },
      { name: `database, ${count(jobs)} jobs`, value: megabytes(fullBytes) },
      { name: "database, half of them cleaned", value: megabytes(halfBytes) },
      { name: "database, all cleaned", value: megabytes(databaseBytes(many)) },
    ],
    notes: [
      `Medians of ${rounds} interleaved runs. The history is inserted by SQL, in 1,000 run keys; its log files do not exist unless it says so. Sizes include the write-ahead log.`,
    ],
  };
}

async function compare(binary: string, few: string, many: string, rounds: number): Promise<Row[]> {
  const cases = [
    { name: "status", words: () => ["status", "--run-key", "known"] },
    { name: "start", words: (round: number) => ["start", "--run-key", `new-${round}`, "--", "true"] },
    { name: "list --limit 20", words: () => ["list", "--limit", "20"] },
    { name: "wait, of a finished job", words: () => ["wait", "--run-key", "known"] },
  ];
  const taken = cases.map(() => ({ few: [] as number[], many: [] as number[] }));
  for (let round = -3; round < rounds; round++) {
    for (const [index, { name, words }] of cases.entries()) {
      // In turn, so that neither always runs right after the other.
      const order = round % 2 === 0 ? (["few", "many"] as const) : (["many", "few"] as const);
      for (const which of order) {
        setVariable("ORCHESJOB_HOME", which === "few" ? few : many);
        const ms = time([binary, ...words(round)]);
        if (round >= 0) taken[index]![which].push(ms);
        if (name === "start") await Bun.sleep(25);
      }
    }
  }
  return cases.map(({ name }, index) => {
    const long = median(taken[index]!.many);
    const short = median(taken[index]!.few);
    const value = `${long.toFixed(2)} ms (${short.toFixed(2)})`;
    return { name, value, ratio: long / short, wanted: WANTED };
  });
}

/** A state directory with one job, whose key is `known`. */
function makeHome(binary: string, path: string): string {
  mkdirSync(path, { mode: 0o700 });
  ask([binary, "start", "--run-key", "known", "--sync", "--", "true"], path);
  return path;
}

/** Start of the first job, in microseconds; the others follow at steps of a second, and end at once. */
const EPOCH_US = Date.UTC(2020, 0, 1) * 1000;
const STEP_US = 1_000_000;
const KEYS = 1_000;

function fill(home: string, jobs: number, withFiles: boolean): void {
  const database = new Database(join(home, "orchesjob.db"), { readwrite: true, strict: true });
  const insert =
    database.query(`insert into job_records (job_id, run_key, attempt_no, status, command, cwd, worker_pid,
      worker_start, target_pid, target_start, exit_code, started_at, finished_at, updated_at, host, boot_id, pid_namespace)
    values ($id, $key, $attempt, 'SUCCEEDED', '["/usr/local/bin/backup.sh","--all"]', '/srv/backup', 12345, 6789012, 12346,
      6789013, 0, $at, $at, $at, 'server.example', '8c7d1a52-5b0f-4c52-9a64-0f3d6f0a51d1', '4026531836')`);
  const batch = 50_000;
  for (let first = 0; first < jobs; first += batch) {
    database.transaction(() => {
      for (let index = first; index < Math.min(jobs, first + batch); index++) {
        const id = Bun.randomUUIDv7();
        const at = EPOCH_US + index * STEP_US;
        insert.run({ id, key: `job-${index % KEYS}`, attempt: 1 + Math.floor(index / KEYS), at });
        if (withFiles) for (const stream of ["stdout", "stderr"]) touch(`${home}/logs/${id}.${stream}`);
      }
    })();
  }
  database.run("pragma wal_checkpoint(truncate)");
  database.close();
}

function touch(path: string): void {
  closeFile(openFile(path, "append"));
}

/** Cleans `jobs` jobs; the first `gone` are cleaned already. Returns jobs per second. */
function timeClean(binary: string, home: string, gone: number, jobs: number): number {
  const before = new Date((EPOCH_US + (gone + jobs) * STEP_US) / 1000).toISOString();
  const begin = performance.now();
  const { deleted } = ask<{ deleted: number }>([binary, "clean", "--before", before], home);
  const seconds = (performance.now() - begin) / 1000;
  if (deleted !== jobs) throw new Error(`clean deleted ${deleted} jobs, not ${jobs}`);
  return deleted / seconds;
}

function databaseBytes(home: string): number {
  const sizeOf = (name: string) => statSync(join(home, name), { throwIfNoEntry: false })?.size ?? 0;
  return sizeOf("orchesjob.db") + sizeOf("orchesjob.db-wal");
}

const count = (number: number) => number.toLocaleString("en");
const megabytes = (bytes: number) => `${(bytes / 1_000_000).toFixed(2)} MB`;
