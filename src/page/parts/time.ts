/** Now, as the server has it: its clock may differ from the browser's. */

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

/** How long a job took or has been running, in seconds. */
export function took(job: { readonly started_at: string; readonly finished_at: string | null }): number {
  const end = job.finished_at === null ? now() : at(job.finished_at);
  return Math.max(0, (end - at(job.started_at)) / 1000);
}
