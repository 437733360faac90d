/** Now, as the server has it: its clock may differ from the browser's. And how long jobs took. */
import { isActive } from "../outcome.ts";
import type { Job, Run } from "../wire.ts";

let offset = 0;

/** Takes the time from the header of an answer. It has whole seconds, so small differences mean nothing. */
export function setClock(header: string | null): void {
  const server = header === null ? Number.NaN : Date.parse(header) + 500;
  const difference = server - Date.now();
  offset = Math.abs(difference) > 2_000 ? difference : 0;
}

/** In ms since 1970. */
export const now = () => Date.now() + offset;

/** The ms of a time in an answer. */
export const at = (time: string) => Date.parse(time);

/** How long a job took or has been running, in seconds. Null: it is lost, and when is not recorded yet. */
export function took(job: Pick<Job, "status" | "started_at" | "finished_at">): number | null {
  const finished_ms = job.finished_at === null ? null : at(job.finished_at);
  return tookOf({ status: job.status, started_ms: at(job.started_at), finished_ms });
}

export function tookOf({ status, started_ms, finished_ms }: Omit<Run, "job_id">): number | null {
  if (finished_ms === null && !isActive(status)) return null;
  return Math.max(0, ((finished_ms ?? now()) - started_ms) / 1000);
}
