/** Sleeps on the lock of each worker: it hangs up the moment the worker is gone, however it ended. */
import type { Job } from "../job/job.ts";
import { openIfAny } from "../linux/file-lock.ts";
import { closeFile } from "../linux/file.ts";
import { Readiness } from "../linux/readiness.ts";
import { type Home, lockFilePath } from "../state/paths.ts";

export class WorkerWatch {
  readonly #watched = new Map<string, { readonly fd: number; readonly readiness: Readiness }>();

  constructor(
    readonly home: Home,
    readonly onGone: () => void,
  ) {}

  /** From now on watches the workers of these jobs, and no others. */
  watch(jobs: readonly Job[]): void {
    const wanted = new Set(jobs.map(({ jobId }) => jobId));
    for (const jobId of this.#watched.keys()) if (!wanted.has(jobId)) this.#forget(jobId);
    for (const jobId of wanted) if (!this.#watched.has(jobId)) this.#begin(jobId);
  }

  #begin(jobId: string): void {
    const fd = openIfAny(lockFilePath(this.home, jobId));
    if (fd === undefined) return;
    const readiness = new Readiness(fd, this.onGone);
    this.#watched.set(jobId, { fd, readiness });
    readiness.ask();
  }

  #forget(jobId: string): void {
    const { fd, readiness } = this.#watched.get(jobId)!;
    readiness.close();
    closeFile(fd);
    this.#watched.delete(jobId);
  }
}
