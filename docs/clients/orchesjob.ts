/** A client of orchesjob in TypeScript, for Node.js and Bun. Copy it and adapt it. */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";

/** Some fields of a job. `orchesjob schema` has all of them, and tools make types from it. */
export interface Job {
  readonly job_id: string;
  readonly status: "STARTING" | "RUNNING" | "SUCCEEDED" | "FAILED" | "LOST" | "CANCELLED";
  readonly exit_code: number | null;
  readonly error: string | null;
  readonly retried_by_job_id: string | null;
}

/** A job, and what is new of its output. */
export interface Part extends Job {
  readonly stdout: string;
  readonly stdout_encoding: "utf-8" | "base64";
  readonly stdout_next: number;
  readonly stderr: string;
  readonly stderr_encoding: "utf-8" | "base64";
  readonly stderr_next: number;
  readonly complete: boolean;
}

/** Returns the answer of a command. Throws an Error with the message of orchesjob; its `cause` has the exit code. */
export function call<T = Job>(...words: readonly string[]): Promise<T> {
  return new Promise((resolve, reject) =>
    execFile("orchesjob", words, { maxBuffer: 2 ** 26 }, (error, stdout, stderr) =>
      error === null
        ? resolve(JSON.parse(stdout) as T)
        : reject(new Error(stderr.trim() || error.message, { cause: error.code })),
    ),
  );
}

/** Starts a command, or returns the active job of the run key. The same request id always gives the same job, so it is safe to try again. */
export function start(runKey: string, command: readonly string[], requestId = randomUUID()): Promise<Job> {
  return call("start", `--run-key=${runKey}`, `--request-id=${requestId}`, "--", ...command);
}

/**
 * Yields the job with its new output until it has ended. With --retries, goes on with the attempt after a failed one. Each call is
 * bounded: 50 seconds, 64 KiB of each stream.
 */
export async function* follow(firstJobId: string): AsyncGenerator<Part> {
  let [jobId, stdout, stderr]: [string | null, number, number] = [firstJobId, 0, 0];
  while (jobId !== null) {
    const cursors = [`--stdout-from=${stdout}`, `--stderr-from=${stderr}`];
    const part: Part = await call(
      "attach",
      "--job-id",
      jobId,
      ...cursors,
      "--wait",
      "50s",
      "--format",
      "json",
    );
    [stdout, stderr] = [part.stdout_next, part.stderr_next];
    yield part;
    if (part.complete) [jobId, stdout, stderr] = [part.retried_by_job_id, 0, 0];
  }
}
