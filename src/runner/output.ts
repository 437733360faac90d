/**
 * Output by way of pipes: who copies it into the logs. That is the worker, until the last process that has the job's output
 * open is gone, daemons included; and where it was killed a process that the next look at the job starts. The locks on
 * the logs see to it that never two copy: they would mix up what they share.
 */
import type { Job } from "../job/job.ts";
import { closeFile, makeDirectory, openFile, removeFile, statPath } from "../os/file.ts";
import { type Home, logFiles, pipeFiles } from "../os/home.ts";
import { SystemError } from "../os/libc.ts";
import { lockDescriptor, lockUnlessOwned, probeLock } from "../os/lock.ts";
import { makeOutputPipe, PipeCopy } from "../os/output-pipe.ts";
import { LOG_STREAMS } from "./logs.ts";

/** The output of one job, copied by this process. */
export class PipedOutput {
  readonly #copies: PipeCopy[] = [];

  constructor(
    readonly home: Home,
    readonly jobId: string,
  ) {}

  /** Makes the FIFOs; returns the command's stdout and stderr, which the caller closes once it has started it. Throws SystemError. */
  open(): readonly number[] {
    makeDirectory(this.home.logs);
    makeDirectory(this.home.pipes);
    const logs = logFiles(this.home, this.jobId);
    const pipes = pipeFiles(this.home, this.jobId);
    return LOG_STREAMS.map((stream) => {
      const log = openFile(logs[stream], "make");
      lockDescriptor(log, logs[stream]);
      const fd = makeOutputPipe(pipes[stream]);
      this.#copies.push(new PipeCopy(pipes[stream], log));
      return fd;
    });
  }

  /** Becomes the copier of a job that has none. False where another is, or nothing is left to copy. */
  take(): boolean {
    const logs = logFiles(this.home, this.jobId);
    const pipes = pipeFiles(this.home, this.jobId);
    for (const stream of LOG_STREAMS) {
      if (statPath(pipes[stream]) === undefined) continue;
      const log = openFile(logs[stream], "make");
      try {
        if (!lockUnlessOwned(log, logs[stream])) {
          closeFile(log);
          // Another copier began with the first stream, too, and takes the second.
          break;
        }
        this.#copies.push(new PipeCopy(pipes[stream], log));
      } catch (error) {
        closeFile(log);
        // It has come to its end just now.
        if (!(error instanceof SystemError)) throw error;
      }
    }
    return this.#copies.length > 0;
  }

  /** To be called once the command has the output. */
  begin(): void {
    for (const copy of this.#copies) copy.begin();
  }

  /** Brings what was written until now into the logs, as far as they can be written. */
  drain(): void {
    for (const copy of this.#copies) copy.drain();
  }

  /** The command was not started. */
  drop(): void {
    for (const copy of this.#copies) copy.end();
    for (const path of Object.values(pipeFiles(this.home, this.jobId))) removeFile(path);
  }

  /** Resolves when nobody has the output open any more, and all of it is in the logs. */
  async outlast(): Promise<void> {
    for (const copy of this.#copies) await copy.ended;
  }
}

/** Whether a job that has no worker any more has output that nobody copies. */
export function lacksCopier(home: Home, { jobId, output }: Job): boolean {
  if (output !== "pipe") return false;
  const logs = logFiles(home, jobId);
  const pipes = pipeFiles(home, jobId);
  return LOG_STREAMS.some(
    (stream) => statPath(pipes[stream]) !== undefined && probeLock(logs[stream]) !== "held",
  );
}
