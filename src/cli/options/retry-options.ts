/** The options that have a failed command tried again. */
import { OrchesjobError } from "../../job/errors.ts";
import type { Retry } from "../../job/job.ts";
import { DEFAULT_BACKOFF, DEFAULT_DELAY_MS, firstAttempt, ON_TIMEOUT } from "../../job/retry.ts";
import { optional } from "../command.ts";
import { duration, durationOrZero } from "./values.ts";

const MOST_RETRIES = 1_000;
const LARGEST_FACTOR = 100;
const LARGEST_CODE = 255;

function usage(message: string): OrchesjobError {
  return new OrchesjobError("usage", message);
}

function readCount(text: string): number {
  const count = /^\d{1,4}$/.test(text) ? Number(text) : -1;
  if (count >= 0 && count <= MOST_RETRIES) return count;
  throw usage(
    `--retries must be a whole number from 0 to ${MOST_RETRIES}, e.g. --retries 3, not ${JSON.stringify(text)}`,
  );
}

function readFactor(text: string): number {
  const factor = /^\d{1,3}(\.\d{1,6})?$/.test(text) ? Number(text) : 0;
  if (factor >= 1 && factor <= LARGEST_FACTOR) return factor;
  throw usage(
    `--retry-backoff must be a number from 1 to ${LARGEST_FACTOR}, e.g. --retry-backoff 2, not ${JSON.stringify(text)}`,
  );
}

function readEnds(text: string): readonly string[] {
  const words = text.split(",").map((word) => word.trim());
  const isCode = (word: string) =>
    /^[1-9]\d{0,2}$/.test(word) && Number(word) >= 1 && Number(word) <= LARGEST_CODE;
  if (words.every((word) => word === ON_TIMEOUT || isCode(word))) return [...new Set(words)];
  throw usage(
    `--retry-on must list exit codes from 1 to ${LARGEST_CODE}, and ${ON_TIMEOUT}, e.g. --retry-on 75,${ON_TIMEOUT}, not ${JSON.stringify(text)}`,
  );
}

export const retryOptions = {
  retries: optional(
    "--retries",
    "N",
    "If the command fails, try again up to N times; the run key stays taken until the last attempt has ended",
    readCount,
  ),
  retryDelay: optional(
    "--retry-delay",
    "DURATION",
    "With --retries: the pause before the next attempt (default: 10s; 0: none)",
    durationOrZero("--retry-delay"),
  ),
  retryBackoff: optional(
    "--retry-backoff",
    "FACTOR",
    "With --retries: make each pause so many times the one before (default: 1)",
    readFactor,
  ),
  retryMaxDelay: optional(
    "--retry-max-delay",
    "DURATION",
    "With --retries: no pause is longer (default: 1d)",
    duration("--retry-max-delay"),
  ),
  retryOn: optional(
    "--retry-on",
    "LIST",
    "With --retries: try again only after these exit codes, and timeout, e.g. 75,timeout (default: any failure, unless the command cannot be executed)",
    readEnds,
  ),
};

/** Throws `usage`. */
export function toRetry(options: {
  readonly retries: number | undefined;
  readonly retryDelay: number | undefined;
  readonly retryBackoff: number | undefined;
  readonly retryMaxDelay: number | undefined;
  readonly retryOn: readonly string[] | undefined;
}): Retry | null {
  const { retries, retryDelay, retryBackoff, retryMaxDelay, retryOn } = options;
  if (retries === undefined) {
    if (retryDelay !== undefined) throw needsRetries("--retry-delay");
    if (retryBackoff !== undefined) throw needsRetries("--retry-backoff");
    if (retryMaxDelay !== undefined) throw needsRetries("--retry-max-delay");
    if (retryOn !== undefined) throw needsRetries("--retry-on");
    return null;
  }
  if (retries === 0) return null;
  return firstAttempt({
    retries,
    delayMs: retryDelay ?? DEFAULT_DELAY_MS,
    backoff: retryBackoff ?? DEFAULT_BACKOFF,
    maxDelayMs: retryMaxDelay ?? null,
    on: retryOn ?? null,
  });
}

function needsRetries(option: string): OrchesjobError {
  return usage(`${option} needs --retries N`);
}
