/**
 * Writes the file that ORCHESJOB_DEBUG names: lines with time, pid, role, job, and what happened. Several processes append to
 * it, each line by one write. No failure here changes what a command does.
 */
import { formatInstant } from "../cli/options/time.ts";
import { sanitize } from "../cli/output/sanitize.ts";
import type { OrchesjobError } from "../job/errors.ts";
import { now } from "../linux/clock.ts";
import { describeErrno, ERRNO, lastErrno, SystemError } from "../linux/ffi/call.ts";
import { libc } from "../linux/ffi/libc.ts";
import { moveUp, openFile } from "../linux/file.ts";
import { statPath } from "../linux/stat.ts";
import type { Context } from "../state/context.ts";
import type { DebugFile } from "../state/debug.ts";
import { COMMIT, VERSION } from "./version.ts";

export interface DebugOrder {
  /** The name of our command; that of a worker, hook runner or copier begins with `_`. */
  readonly command: string;
  readonly context: Pick<Context, "home" | "notify">;
  /** The absolute path that our launcher has passed on; undefined: we are the launcher. */
  readonly file?: string;
  /** The job, if it is known from the beginning. */
  readonly jobId?: string;
}

/** The most characters of an event: a line then has less than PIPE_BUF bytes (4096), and reaches a FIFO in one piece. */
const LONGEST_EVENT = 980;

/** Undefined if the file cannot be opened. Never throws. */
export function openDebugFile(order: DebugOrder): DebugFile | undefined {
  const { context, file: name = process.env["ORCHESJOB_DEBUG"] ?? "" } = order;
  const complain = (message: string) => {
    try {
      // The stderr of a worker is /dev/null.
      context.notify(message);
    } catch {
      // Nobody reads our stderr.
    }
  };
  try {
    if (name.includes("\uFFFD")) {
      complain("ORCHESJOB_DEBUG is not valid UTF-8; use a path that is");
      return undefined;
    }
    const path = name.startsWith("/") ? name : `${process.cwd()}/${name}`;
    const fail = (errno: number) =>
      complain(`ORCHESJOB_DEBUG: cannot write to ${path}: ${describeReason(path, errno)}`);
    const fd = openForDebug(path, fail);
    if (fd === undefined) return undefined;
    const file = new Lines(path, fd, order, fail);
    process.on("uncaughtExceptionMonitor", (error) =>
      file.note(`uncaught exception: ${describeWithPlace(error)}`),
    );
    process.on("unhandledRejection", (reason) => {
      // As it would end without this listener.
      throw reason;
    });
    file.note(
      `begins: orchesjob ${VERSION} (commit ${COMMIT}), state directory ${context.home.path}, called by process ${process.ppid}`,
    );
    return file;
  } catch (error) {
    // The current directory was deleted, for example.
    complain(`ORCHESJOB_DEBUG: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

function openForDebug(path: string, fail: (errno: number) => void): number | undefined {
  try {
    return moveUp(openFile(path, "debug"));
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    fail(error.errno);
    return undefined;
  }
}

function describeReason(path: string, errno: number): string {
  if (errno === ERRNO.EISDIR) return "it is a directory";
  if (errno === ERRNO.ENXIO && statPath(path)?.kind === "fifo") return "nobody reads this FIFO";
  return describeErrno(errno);
}

class Lines implements DebugFile {
  readonly #role: string;
  #jobId: string;
  #last = "";
  #repeated = 0;
  /** The last line was written in part, because the disk is full: the next one begins with a newline. */
  #isTorn = false;
  #hasFailed = false;

  constructor(
    readonly path: string,
    readonly fd: number,
    { command, jobId = "-" }: DebugOrder,
    readonly fail: (errno: number) => void,
  ) {
    this.#role = command.replace("_", "");
    this.#jobId = jobId;
  }

  about(jobId: string): void {
    this.#jobId = jobId;
  }

  note(event: string, error?: unknown): void {
    try {
      const text = error === undefined ? event : `${event}: ${describe(error)}`;
      // Retries would fill the disk.
      if (text === this.#last) {
        this.#repeated += 1;
        return;
      }
      const repeated = this.#repeated;
      this.#last = text;
      this.#repeated = 0;
      if (repeated > 0) this.#write(`(repeated: ${repeated})`);
      this.#write(text);
    } catch {
      // The command must not fail because of it.
    }
  }

  #write(text: string): void {
    const event = sanitize(text.slice(0, LONGEST_EVENT));
    const start = this.#isTorn ? "\n" : "";
    const line = `${start}${formatInstant(now())} ${process.pid} ${this.#role} ${this.#jobId} ${event}\n`;
    const bytes = new TextEncoder().encode(line);
    const written = Number(libc.write(this.fd, bytes, bytes.length));
    if (written === bytes.length) this.#isTorn = false;
    else if (written > 0) this.#isTorn = true;
    else if (!this.#hasFailed) {
      this.#hasFailed = true;
      // lastErrno is valid only directly after the call.
      this.fail(lastErrno());
    }
  }
}

/** An error in one line. What was wrong with an argument stays on stderr: the argument may be secret. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // By name, because their classes are those of another bundle.
  if (error.name === "SystemError") return error.message;
  if (error.name === "OrchesjobError")
    return (error as OrchesjobError).code === "usage" ? "wrong usage" : error.message;
  return describeWithPlace(error);
}

function describeWithPlace(error: Error): string {
  const frames = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  return [`${error.name}: ${error.message}`, ...frames.map((line) => line.trim())].join(" ");
}
