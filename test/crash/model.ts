/**
 * What may be true of jobs, whoever asks and whenever. The model takes in every answer, and throws at the first that
 * contradicts an earlier one.
 */
import { expect } from "bun:test";
import type { JobAnswer } from "../support/sandbox.ts";

const ACTIVE = ["STARTING", "RUNNING"];

interface Knowledge {
  readonly job: JobAnswer;
  /** When it was learned, on the model's own clock. */
  readonly at: number;
}

export class Model {
  readonly #known = new Map<string, Knowledge>();
  readonly #accepted = new Set<string>();
  #clock = 0;

  /** Jobs whose worker was killed: only these may be LOST; */
  readonly killed = new Set<string>();
  /** and jobs of run keys of which a launcher was killed, if its last commit was seen only later: they never ran. */
  readonly interrupted = new Set<string>();
  /** Run keys with a cancel request: only their jobs may be CANCELLED. */
  readonly cancelled = new Set<string>();
  /** How often a cancelled job had a process that lived on. */
  outlived = 0;
  /** Whether a clean may have deleted history. */
  forgetful = false;

  /** Call it before asking: the answer may not be older than what was known at that moment. */
  ask(): number {
    return ++this.#clock;
  }

  learn(asked: number, job: JobAnswer): void {
    const earlier = this.#known.get(job.job_id);
    if (earlier !== undefined) {
      for (const field of ["run_key", "attempt_no", "command", "started_at"] as const)
        expect(job[field]).toEqual(earlier.job[field]);
      if (isOver(earlier.job) && isOver(job)) {
        expect(essence(job)).toEqual(essence(earlier.job));
        const known = [earlier.job, job].filter(({ exit_code }) => exit_code !== null);
        if (job.status !== "CANCELLED" || known.length === 2) expect(endOf(job)).toEqual(endOf(earlier.job));
      }
      if (earlier.at < asked) expect(progress(job)).toBeGreaterThanOrEqual(progress(earlier.job));
    }
    if (job.lost_reason !== null) expect(this.#mayBeLost(job), JSON.stringify(job)).toBe(true);
    if (job.status === "CANCELLED") expect(this.cancelled).toContain(job.run_key);
    if (earlier === undefined || progress(job) >= progress(earlier.job))
      this.#known.set(job.job_id, { job, at: ++this.#clock });
  }

  #mayBeLost(job: JobAnswer): boolean {
    return (
      this.killed.has(job.job_id) ||
      (job.lost_reason === "start_interrupted" && this.interrupted.has(job.run_key))
    );
  }

  learnStart(asked: number, answer: JobAnswer): void {
    this.learn(asked, answer);
    expect(answer.accepted).toBe(!answer.existing);
    if (!answer.accepted) return;
    expect(this.#accepted, "one job was accepted twice").not.toContain(answer.job_id);
    this.#accepted.add(answer.job_id);
  }

  learnHistory(asked: number, history: readonly JobAnswer[]): void {
    for (const job of history) this.learn(asked, job);
    expect(history.filter((job) => !isOver(job)).length).toBeLessThanOrEqual(1);
    const attempts = history.map((job) => job.attempt_no);
    expect(attempts).toEqual(attempts.toSorted((a, b) => b - a));
    if (this.forgetful) return;
    expect(attempts).toEqual(attempts.map((_, index) => attempts.length - index));
    const runKey = history[0]?.run_key;
    const missing = [...this.#known.values()].filter(
      ({ job, at }) =>
        job.run_key === runKey && at < asked && !history.some((found) => found.job_id === job.job_id),
    );
    expect(missing).toEqual([]);
  }

  /** How many jobs the model has seen, by status. */
  summary(): Record<string, number> {
    const counts: Record<string, number> = { outlived: this.outlived };
    for (const { job } of this.#known.values()) counts[job.status] = (counts[job.status] ?? 0) + 1;
    return counts;
  }
}

export function isOver(job: JobAnswer): boolean {
  return !ACTIVE.includes(job.status);
}

/** The rank of a status, which never goes back. */
function progress(job: JobAnswer): number {
  return isOver(job) ? 2 : ACTIVE.indexOf(job.status);
}

/** The part of a finished job that never changes. */
function essence(job: JobAnswer): unknown {
  const { status, error, lost_reason, finished_at, worker_pid, target_pid } = job;
  return { status, error, lost_reason, finished_at, worker_pid, target_pid };
}

/** How the command ended; unknown for a cancelled job whose command cannot be ended. */
function endOf({ exit_code, signal }: JobAnswer): unknown {
  return { exit_code, signal };
}
