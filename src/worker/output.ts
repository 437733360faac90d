/**
 * Copies a job's output from its pipes into its logs: in the worker, until the last process that has the output open is gone,
 * daemons included; if the worker was killed, in a process that the next look at the job starts. A lock on each log keeps two
 * processes from copying the same stream, whose bytes they would mix up. An index beside the logs says what came when.
 */
import type { Job } from "../job/job.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { lockDescriptor, lockUnlessOwned, probeLock } from "../linux/file-lock.ts";
import { closeFile, makeDirectory, openFile, removeFile } from "../linux/file.ts";
import { statPath } from "../linux/stat.ts";
import { debug } from "../state/debug.ts";
import { OutputIndex } from "../state/output-index.ts";
import {
  type Home,
  LOG_STREAMS,
  logFiles,
  type LogStream,
  outputIndexFile,
  pipeFiles,
  tailFiles,
} from "../state/paths.ts";
import { LimitedLog } from "./limited-log.ts";
import { type LogSink, WholeLog } from "./log-sink.ts";
import { makeOutputPipe, PipeCopy } from "./output-pipe.ts";

/** The output of one job, copied by this process. */
export class PipedOutput {
  readonly #copies: PipeCopy[] = [];
  #index: OutputIndex | undefined;
  /** Called when a log has reached its limit: bytes are dropped from now on. */
  onLimit: ((stream: LogStream) => void) | undefined;

  constructor(
    readonly home: Home,
    readonly jobId: string,
    /** The most bytes of each log; undefined: no limit. */
    readonly maxLogBytes: number | undefined,
  ) {}

  /**
   * Creates the FIFOs. Returns the command's stdout and stderr, which the caller closes once it has started the command.
   * Throws SystemError.
   */
  open(): readonly number[] {
    makeDirectory(this.home.logs);
    makeDirectory(this.home.pipes);
    const logs = logFiles(this.home, this.jobId);
    const pipes = pipeFiles(this.home, this.jobId);
    return LOG_STREAMS.map((stream) => {
      const log = openFile(logs[stream], "make");
      lockDescriptor(log, logs[stream]);
      const fd = makeOutputPipe(pipes[stream]);
      this.#add(stream, pipes[stream], log);
      return fd;
    });
  }

  /** Becomes the copier of a job that has none. Returns false if another process is its copier, or nothing is left to copy. */
  take(): boolean {
    const logs = logFiles(this.home, this.jobId);
    const pipes = pipeFiles(this.home, this.jobId);
    for (const stream of LOG_STREAMS) {
      if (statPath(pipes[stream]) === undefined) continue;
      const log = openFile(logs[stream], "make");
      try {
        if (!lockUnlessOwned(log, logs[stream])) {
          closeFile(log);
          // Another copier started with the first stream, too, and takes the second.
          break;
        }
        this.#add(stream, pipes[stream], log);
      } catch (error) {
        closeFile(log);
        // The FIFO has come to its end just now.
        if (!(error instanceof SystemError)) throw error;
      }
    }
    return this.#copies.length > 0;
  }

  #add(stream: LogStream, pipe: string, log: number): void {
    const index = (this.#index ??= new OutputIndex(outputIndexFile(this.home, this.jobId)));
    const copy: PipeCopy = new PipeCopy(pipe, this.#sink(stream, log, index), () => {
      // What came to the other stream came during its pause, so most likely earlier.
      for (const other of this.#copies) if (other !== copy) other.endPause();
    });
    this.#copies.push(copy);
  }

  #sink(stream: LogStream, log: number, index: OutputIndex): LogSink {
    const onCopied = (end: number) => index.add(stream, end);
    if (this.maxLogBytes === undefined) return new WholeLog(log, onCopied);
    const onLimit = () => {
      debug?.note(`the ${stream} has reached its limit`);
      this.onLimit?.(stream);
    };
    const files = tailFiles(this.home, this.jobId, stream);
    return new LimitedLog(log, files, this.maxLogBytes, { onCopied, onLimit });
  }

  /** Call it once the command has the output. */
  begin(): void {
    for (const copy of this.#copies) copy.begin();
  }

  /** Whether it looks again in a moment. */
  get isPausing(): boolean {
    return this.#copies.some((copy) => copy.isPausing);
  }

  /** Copies what was written until now into the logs. Returns false if a log cannot be written. */
  drain(): boolean {
    return this.#copies.map((copy) => copy.drain()).every(Boolean);
  }

  /** As drain, when the command has ended: a limited log gets its end. What daemons write from now on follows it. */
  conclude(): boolean {
    const isWhole = this.#copies.map((copy) => copy.conclude()).every(Boolean);
    this.#index?.flush();
    return isWhole;
  }

  /** Bytes that are in no log. */
  get dropped(): number {
    return this.#copies.reduce((sum, { sink }) => sum + sink.dropped, 0);
  }

  /** Removes the FIFOs of a command that was not started. */
  drop(): void {
    for (const copy of this.#copies) copy.end();
    for (const path of Object.values(pipeFiles(this.home, this.jobId))) removeFile(path);
    this.#index?.close();
  }

  /** Resolves when no process has the output open any more, and all of it is in the logs. */
  async outlast(): Promise<void> {
    for (const copy of this.#copies) await copy.ended;
    this.#index?.close();
  }
}

/** Whether a job without a worker has output that no process copies. */
export function lacksCopier(home: Home, { jobId, output }: Job): boolean {
  if (output !== "pipe") return false;
  const logs = logFiles(home, jobId);
  const pipes = pipeFiles(home, jobId);
  return LOG_STREAMS.some(
    (stream) => statPath(pipes[stream]) !== undefined && probeLock(logs[stream]) !== "held",
  );
}
