/** The options of the commands that start a job which limit what it does, and what they ask for. */
import { OrchesjobError } from "../../job/errors.ts";
import { checkHookCommand } from "../../job/hook.ts";
import { CANCEL_ON_STALL, type Limits, ON_LOG_LIMITS, type OnLogLimit } from "../../job/limits.ts";
import { HIGHEST_NICE, isIoClass, LOWEST_NICE } from "../../job/priority.ts";
import type { OutputMode } from "../../job/output.ts";
import { optional, repeated } from "../command.ts";
import { anyText, byteSize, duration, oneOf, wholeNumber } from "./values.ts";

/** Room for a beginning, an end, and the line between them. */
const LEAST_LOG_BYTES = 4_096;

function readLogBytes(text: string): number {
  const bytes = byteSize("--max-log-bytes")(text);
  if (bytes >= LEAST_LOG_BYTES) return bytes;
  throw new OrchesjobError("usage", `--max-log-bytes must be at least 4K, not ${JSON.stringify(text)}`);
}

function readNice(text: string): number {
  const nice = /^[+-]?\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
  if (nice >= LOWEST_NICE && nice <= HIGHEST_NICE) return nice;
  throw new OrchesjobError(
    "usage",
    `--nice must be a whole number from ${LOWEST_NICE} to ${HIGHEST_NICE}, e.g. --nice 10 or --nice=-5, not ${JSON.stringify(text)}`,
  );
}

function readIoClass(text: string): string {
  if (isIoClass(text)) return text;
  throw new OrchesjobError(
    "usage",
    `--io-class must be idle, best-effort or realtime, the last two with a level from :0 to :7 if you like, e.g. --io-class best-effort:7, not ${JSON.stringify(text)}`,
  );
}

export const limitOptions = {
  stallAfter: optional(
    "--stall-after",
    "DURATION",
    "The job is stalled if it has written nothing for this time, e.g. 15m: stalled_since says since when",
    duration("--stall-after"),
  ),
  onStall: optional(
    "--on-stall",
    "ACTION",
    "When it stalls: end it as --timeout does (cancel), or run this command with /bin/sh, with the job's JSON on stdin",
    checkHookCommand("--on-stall"),
  ),
  graceSeconds: optional(
    "--grace-seconds",
    "N",
    "Seconds between TERM and KILL when --timeout, --on-stall or --on-log-limit ends the command (default: 5)",
    wholeNumber("--grace-seconds", 0),
  ),
  maxLogBytes: optional(
    "--max-log-bytes",
    "SIZE",
    "Limit the log of each stream, e.g. 1G: its beginning and its last lines stay, and what is between is dropped; implies --output pipe",
    readLogBytes,
  ),
  onLogLimit: optional(
    "--on-log-limit",
    "ACTION",
    "With --max-log-bytes: go on (drop, the default), or end the command as --timeout does (end)",
    oneOf("--on-log-limit", ON_LOG_LIMITS),
  ),
  nice: optional(
    "--nice",
    "N",
    "Start the command with this niceness, from -20 (first) to 19 (last); less than yours needs permission",
    readNice,
  ),
  ioClass: optional(
    "--io-class",
    "CLASS",
    "Start the command in this I/O class: idle, best-effort[:0-7], or realtime[:0-7], which needs permission",
    readIoClass,
  ),
  envFile: repeated(
    "--env-file",
    "FILE",
    "Set the variables of this file for the command: NAME=VALUE lines, # comments. Only the path is stored",
    anyText("file"),
  ),
};

/** Throws `usage`. */
export function toLimits(options: {
  readonly timeout: number | undefined;
  readonly stallAfter: number | undefined;
  readonly onStall: string | undefined;
  readonly graceSeconds: number | undefined;
  readonly maxLogBytes: number | undefined;
  readonly onLogLimit: OnLogLimit | undefined;
  readonly nice: number | undefined;
  readonly ioClass: string | undefined;
  readonly envFile: readonly string[];
}): Limits {
  const { timeout, stallAfter, onStall, graceSeconds, maxLogBytes, onLogLimit, nice, ioClass } = options;
  if (onStall !== undefined && stallAfter === undefined)
    throw new OrchesjobError("usage", "--on-stall needs --stall-after DURATION");
  if (onLogLimit !== undefined && maxLogBytes === undefined)
    throw new OrchesjobError("usage", "--on-log-limit needs --max-log-bytes SIZE");
  const isEnded = timeout !== undefined || onStall === CANCEL_ON_STALL || onLogLimit === "end";
  if (graceSeconds !== undefined && !isEnded) {
    throw new OrchesjobError(
      "usage",
      "--grace-seconds needs something that ends the command",
      "add --timeout DURATION, or --stall-after DURATION --on-stall cancel, or --max-log-bytes SIZE --on-log-limit end; cancel has a --grace-seconds of its own",
    );
  }
  return {
    ...(stallAfter !== undefined && { stallAfterMs: stallAfter }),
    ...(onStall !== undefined && { onStall }),
    ...(graceSeconds !== undefined && { graceMs: graceSeconds * 1000 }),
    ...(maxLogBytes !== undefined && { maxLogBytes }),
    ...(onLogLimit !== undefined && { onLogLimit }),
    ...(nice !== undefined && { nice }),
    ...(ioClass !== undefined && { ioClass }),
    ...(options.envFile.length > 0 && { envFiles: options.envFile.map(toAbsolute) }),
  };
}

/** Throws `usage` if the command would write to the log itself, which has a limit. */
export function toOutput(asked: OutputMode | undefined, { maxLogBytes }: Limits): OutputMode {
  if (maxLogBytes === undefined) return asked ?? "file";
  if (asked !== "file") return "pipe";
  throw new OrchesjobError("usage", "--max-log-bytes needs --output pipe", "leave out --output file");
}

function toAbsolute(path: string): string {
  if (path === "") throw new OrchesjobError("usage", "--env-file is empty", "name a file");
  return path.startsWith("/") ? path : `${process.cwd()}/${path}`;
}
