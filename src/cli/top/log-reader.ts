/** Reads the end of a job's output, and what comes after it. Keeps a bounded number of lines, whatever the job writes. */
import { OrchesjobError } from "../../job/errors.ts";
import type { Job } from "../../job/job.ts";
import { onlyThere } from "../../jobs/elsewhere.ts";
import { logSize, readLog } from "../../jobs/logs.ts";
import { SystemError } from "../../linux/ffi/call.ts";
import type { Context } from "../../state/context.ts";
import type { LogText } from "./model.ts";

const TAIL_BYTES = 262_144;
const MOST_LINES = 5_000;
const MOST_CHARACTERS = 2_000;
const NEWLINE = 10;

type Stream = "stdout" | "stderr";

export class LogReader {
  #position: number | undefined;
  #lines: string[] = [];
  /** The last line, while it has no end. */
  #open = "";
  #isCut = false;
  /** How many lines were dropped from the beginning. */
  #dropped = 0;
  #decoder = new TextDecoder();
  /** Of a job of another member: what was found when it was as it is now. */
  #found: { readonly job: Job; readonly text: LogText } | undefined;

  constructor(
    readonly context: Context,
    readonly jobId: string,
    readonly stream: Stream,
  ) {}

  get dropped(): number {
    return this.#dropped;
  }

  /** `job`: as it is now. */
  async read(job: Job): Promise<LogText> {
    if (job.elsewhere === undefined) return this.#read(job);
    // The registry is asked only when it has news of the job.
    if (this.#found?.job !== job) this.#found = { job, text: await this.#read(job) };
    return this.#found.text;
  }

  async #read(job: Job): Promise<LogText> {
    try {
      const sizes = job.elsewhere === undefined ? this.#readHere(job) : await this.#readElsewhere(job);
      const open = this.#open === "" ? [] : [readable(this.#open)];
      return { job, lines: [...this.#lines, ...open], isCut: this.#isCut, sizes, problem: undefined };
    } catch (error) {
      if (!(error instanceof OrchesjobError) && !(error instanceof SystemError)) throw error;
      return { job, lines: [], isCut: false, sizes: { stdout: 0, stderr: 0 }, problem: error.message };
    }
  }

  #readHere(job: Job): LogText["sizes"] {
    const { context } = this;
    const sizes = { stdout: logSize(context, job, "stdout"), stderr: logSize(context, job, "stderr") };
    const size = sizes[this.stream];
    const position = this.#position;
    // The beginning; a truncated log; or more than anybody could have read since.
    if (position === undefined || size < position || size - position > 4 * TAIL_BYTES) this.#begin(size);
    for (let left = size - this.#position!; left > 0;) {
      const { bytes } = readLog(context, job, this.stream, this.#position!, Math.min(left, TAIL_BYTES));
      if (bytes.length === 0) break;
      this.#position! += bytes.length;
      left -= bytes.length;
      this.#take(bytes);
    }
    return sizes;
  }

  #begin(size: number): void {
    this.#position = Math.max(0, size - TAIL_BYTES);
    this.#isCut = this.#position > 0;
    this.#lines = [];
    this.#open = "";
    this.#decoder = new TextDecoder();
    // What stands before the first newline is the end of a line that is cut.
    this.#skipsLine = this.#isCut;
  }

  #skipsLine = false;

  #take(bytes: Uint8Array): void {
    let wanted = bytes;
    if (this.#skipsLine) {
      const end = bytes.indexOf(NEWLINE);
      if (end >= 0) wanted = bytes.subarray(end + 1);
      this.#skipsLine = false;
    }
    const lines = (this.#open + this.#decoder.decode(wanted, { stream: true })).split("\n");
    // A line without end must not grow for ever.
    this.#open = lines.pop()!.slice(-4 * MOST_CHARACTERS);
    for (const line of lines) this.#lines.push(readable(line));
    const excess = this.#lines.length - MOST_LINES;
    if (excess <= 0) return;
    this.#lines.splice(0, excess);
    this.#dropped += excess;
    this.#isCut = true;
  }

  /** What its member has published, once the job has ended. */
  async #readElsewhere(job: Job): Promise<LogText["sizes"]> {
    const output = await (await this.context.openFleet())?.output(job.jobId);
    if (output === undefined) throw onlyThere(job, ["logs", "--job-id", job.jobId, "--follow"]);
    const bytes = Uint8Array.fromBase64(output[this.stream]);
    this.#begin(0);
    this.#take(bytes);
    const size = output[`${this.stream}Bytes`];
    this.#isCut ||= size > bytes.length;
    return { stdout: output.stdoutBytes, stderr: output.stderrBytes };
  }
}

/** A line without colours; of a progress bar, which writes over its line, what stands there last. */
function readable(line: string): string {
  const texts = Bun.stripANSI(line).split("\r");
  const last = texts.findLast((text) => text !== "") ?? "";
  return last.replaceAll("\t", "    ").slice(0, MOST_CHARACTERS);
}
