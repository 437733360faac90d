/** State directories that the Python orchesjob wrote, packed while their job `was-running` ran. */
import { Database } from "bun:sqlite";
import { spawnSync } from "bun";
import { existsSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { readProc } from "./processes.ts";
import { type JobAnswer, ROOT, type Sandbox, until } from "./sandbox.ts";

export const PYTHON_VERSIONS = ["1.0.0", "1.1.0"] as const;
export type PythonVersion = (typeof PYTHON_VERSIONS)[number];

/** A row of the Python table `jobs`; the fields that came with 1.1 are undefined in 1.0. */
export interface PythonJob {
  readonly job_id: string;
  readonly run_key: string;
  readonly worker_pid: number | null;
  readonly target_pid: number | null;
  readonly command: string;
  readonly status: string;
  readonly exit_code: number | null;
  readonly started_at: string | number;
  readonly finished_at: string | number | null;
  readonly abort_reason?: string | null;
  readonly rerun_of_job_id?: string | null;
  readonly attempt_no?: number;
  readonly rerun_reason?: string | null;
}

export interface PythonHome {
  /** The jobs of the old database, in row order. */
  readonly jobs: readonly PythonJob[];
  /** A job's output, from its log file. */
  log(jobId: string, stream: "stdout" | "stderr"): string;
}

/** Unpacks a directory of that version as the sandbox's state directory. */
export function unpackPython(box: Sandbox, version: PythonVersion): PythonHome {
  const archive = join(ROOT, `test/fixtures/python-${version}-home.tar.gz`);
  spawnSync(["tar", "--no-same-owner", "-xzf", archive, "-C", box.directory]);
  renameSync(join(box.directory, `python-${version}-home`), box.home);
  using database = new Database(join(box.home, "orchesjob.db"));
  giveRunningJobOwnId(box, database);
  const jobs = database.query<PythonJob, []>("select * from jobs order by rowid").all();
  database.run("pragma wal_checkpoint(truncate)");
  return { jobs, log: (jobId, stream) => readFileSync(join(box.home, "logs", `${jobId}.${stream}`), "utf8") };
}

/**
 * orchesjob recognizes a Python worker by the job id in its command line, which does not name the directory. Other
 * tests use copies of the same job at the same time, so each copy gets its own id.
 */
function giveRunningJobOwnId(box: Sandbox, database: Database): void {
  const running = "select job_id from jobs where run_key = 'was-running'";
  const from = database.query<{ job_id: string }, []>(running).get()!.job_id;
  const to = crypto.randomUUID();
  database.run("update run_keys set job_id = ? where job_id = ?", [to, from]);
  const rename = `update jobs set job_id = $to, stdout_file = replace(stdout_file, $from, $to),
    stderr_file = replace(stderr_file, $from, $to) where job_id = $from`;
  database.query(rename).run({ $to: to, $from: from });
  for (const stream of ["stdout", "stderr"]) {
    const log = (jobId: string) => join(box.home, "logs", `${jobId}.${stream}`);
    if (existsSync(log(from))) renameSync(log(from), log(to));
  }
}

/** Microseconds since 1970 of a time in either form. */
export function pythonInstant(value: string | number): number {
  if (typeof value === "number") return value * 1e6;
  return Number(Temporal.Instant.from(value).epochNanoseconds / 1000n);
}

/** Microseconds since 1970 of a time in orchesjob's answers. */
export function answeredInstant(value: string): number {
  return Number(Temporal.Instant.from(value).epochNanoseconds / 1000n);
}

/** Starts a process that looks like the Python worker of a job; it lives until it is killed. */
export async function startPythonWorker(box: Sandbox, jobId: string): Promise<Bun.Subprocess> {
  const script = join(box.directory, "orchesjob");
  await Bun.write(script, "while :; do sleep 1000; done\n");
  const worker = box.spawn(["sh", script, "_worker", "--job-id", jobId]);
  await until("the Python worker runs", () =>
    readFileSync(`/proc/${worker.pid}/cmdline`, "utf8").includes("_worker"),
  );
  return worker;
}

/** Ends it and everything it started. */
export async function endPythonWorker(box: Sandbox, worker: Bun.Subprocess): Promise<void> {
  worker.kill("SIGKILL");
  await worker.exited;
  for (const pid of box.processes()) {
    if (readProc(pid, "cmdline") === "sleep\u00001000\u0000") process.kill(pid, "SIGKILL");
  }
}

/** Changes the old database by one statement. */
export function editPython(box: Sandbox, sql: string): void {
  using database = new Database(join(box.home, "orchesjob.db"));
  database.run(sql);
}

/** The jobs of each key, newest first, as orchesjob answers them. */
export async function readHistory(
  box: Sandbox,
  runKey: string,
): Promise<readonly (JobAnswer & PythonExtras)[]> {
  return box.json(["status", "--run-key", runKey, "--all"]);
}

interface PythonExtras {
  readonly cancel_reason: string | null;
  readonly rerun_of_job_id: string | null;
  readonly rerun_reason: string | null;
}
