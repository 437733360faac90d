/** `logs`: what a job has written, byte for byte, in constant memory. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { closeFile, openFile, readInto, writeAll } from "../os/file.ts";
import { logFiles } from "../os/home.ts";
import { ERRNO, SystemError } from "../os/libc.ts";
import type { Context } from "./context.ts";

export const LOG_STREAMS = ["stdout", "stderr"] as const;
export type LogStream = (typeof LOG_STREAMS)[number];

const CHUNK_BYTES = 262_144;

/** Copies one stream of a job to a descriptor. Throws SystemError EPIPE where the reader has gone. */
export function copyLog(context: Context, job: Job, stream: LogStream, output: number): void {
  const log = openLog(context, job, stream);
  if (log === undefined) return;
  const buffer = new Uint8Array(CHUNK_BYTES);
  try {
    for (let count = readInto(log, buffer); count > 0; count = readInto(log, buffer))
      writeAll(output, buffer.subarray(0, count));
  } finally {
    closeFile(log);
  }
}

/** Undefined where the job has not come so far as to open it. */
function openLog(context: Context, job: Job, stream: LogStream): number | undefined {
  const path = logFiles(context.home, job.jobId)[stream];
  try {
    return openFile(path, "read");
  } catch (error) {
    if (!(error instanceof SystemError) || error.errno !== ERRNO.ENOENT) throw error;
    if (isActive(job.status) || job.target === null) return undefined;
    throw new OrchesjobError("conflict", `the ${stream} of job ${job.jobId} is gone: ${path} was deleted`);
  }
}
