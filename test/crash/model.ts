/** What may be true of jobs, whoever asks and whenever: told every answer, it throws at the first that contradicts another. */
import { expect } from "bun:test";
import type { JobAnswer } from "../support/sandbox.ts";

const ACTIVE = ["STARTING", "RUNNING"];

interface Knowledge {
  readonly job: JobAnswer;
  /** When it was learned, by the model's own clock. */
  readonly at: number;
}

export class Model {
  readonly #known = new Map<string, Knowledge>();
  readonly #accepted = new Set<string>();
  #clock = 0;

  /** Jobs whose worker was killed: only these may be LOST; */
  readonly killed = new Set<string>();
  /** and jobs of run keys of which a launcher was killed, where its last words came to light only later: they never ran. */
  readonly interrupted = new Set<string>();
  /** Run keys that a cancel was asked for: only their jobs may be CANCELLED. */
  readonly cancelled = new Set<string>();
  /** How often a job was cancelled of which a process lived on. */
  outlived = 0;
  /** Whether history may have gone, by a clean. */
  forgetful = false;

  /** The moment at which a question is asked: its answer may not be older than what was known then. */
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

  /** How many jobs it heard of, by status. */
  summary(): Record<string, number> {
    const counts: Record<string, number> = { outlived: this.outlived };
    for (const { job } of this.#known.values()) counts[job.status] = (counts[job.status] ?? 0) + 1;
    return counts;
  }
}

export function isOver(job: JobAnswer): boolean {
  return !ACTIVE.includes(job.status);
}

/** A status never goes back. */
function progress(job: JobAnswer): number {
  return isOver(job) ? 2 : ACTIVE.indexOf(job.status);
}

/** What a finished job is, for ever. */
function essence(job: JobAnswer): unknown {
  const { status, error, lost_reason, finished_at, worker_pid, target_pid } = job;
  return { status, error, lost_reason, finished_at, worker_pid, target_pid };
}

/** How its command ended, which is not known yet of one that was cancelled and cannot be ended. */
function endOf({ exit_code, signal }: JobAnswer): unknown {
  return { exit_code, signal };
}
