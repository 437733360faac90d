/** Columns of `job_records` whose text is JSON. */
import type { Hook, HookOrder, HookResult, ProcessIdentity, Retry } from "../../job/job.ts";

export function listOrNull(words: readonly string[]): string | null {
  return words.length === 0 ? null : JSON.stringify(words);
}

export function objectOrNull(values: object): string | null {
  const text = JSON.stringify(values);
  return text === "{}" ? null : text;
}

/**
 * Parses JSON that somebody may have edited by hand; what it cannot use is left out, so that the rest of the job can be read.
 */
export function parse<T, U = T>(
  text: string | null,
  isMeant: (value: unknown) => value is T,
  otherwise: U,
): T | U {
  if (text === null) return otherwise;
  try {
    const value: unknown = JSON.parse(text);
    return isMeant(value) ? value : otherwise;
  } catch {
    return otherwise;
  }
}

export function isStrings(value: unknown): value is string[] {
  if (!Array.isArray(value)) return false;
  for (const word of value) if (typeof word !== "string") return false;
  return true;
}

export function isTexts(value: unknown): value is Record<string, string> {
  return typeof value === "object" && value !== null && isStrings(Object.values(value));
}

/** From the columns on_failure and on_failure_result. */
export function toFailureHook(order: string, result: string | null): Hook | null {
  const known = parse(order, isHookOrder, null);
  return known && { ...known, result: parse(result, isHookResult, null) };
}

function isHookOrder(value: unknown): value is HookOrder {
  const { command, timeoutMs } = (value ?? {}) as Partial<HookOrder>;
  return typeof command === "string" && typeof timeoutMs === "number";
}

function isHookResult(value: unknown): value is HookResult {
  return typeof (value as HookResult | null)?.finishedAt === "number";
}

export function isRetry(value: unknown): value is Retry {
  const { retries, delayMs, backoff, number, on, nextJobId } = (value ?? {}) as Partial<Retry>;
  const numbers: readonly unknown[] = [retries, delayMs, backoff, number];
  return (
    numbers.every(Number.isFinite) &&
    (on === null || isStrings(on)) &&
    (nextJobId === null || typeof nextJobId === "string")
  );
}

/** A process in column left_behind. */
interface Left {
  readonly pid: number;
  readonly start: number;
  readonly inode: number;
}

export function isLeft(value: unknown): value is readonly Left[] {
  if (!Array.isArray(value)) return false;
  for (const each of value) {
    const { pid, start, inode } = (each ?? {}) as Partial<Left>;
    for (const number of [pid, start, inode]) if (!Number.isSafeInteger(number)) return false;
  }
  return true;
}

export function toProcesses(left: readonly Left[] | null): readonly ProcessIdentity[] | null {
  if (left === null) return null;
  const processes: ProcessIdentity[] = [];
  for (const { pid, start, inode } of left) processes.push({ pid, startTicks: start, inode });
  return processes;
}

/** The value of column left_behind. */
export function toLeft(processes: readonly ProcessIdentity[] | null): string | null {
  if (processes === null) return null;
  const left: Left[] = [];
  for (const { pid, startTicks, inode = 0 } of processes) left.push({ pid, start: startTicks, inode });
  return JSON.stringify(left);
}
