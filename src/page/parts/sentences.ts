/** What a job's page says about it in sentences. */
import { h } from "../dom.ts";
import { isActive, WORDS } from "../outcome.ts";
import { jobAddress } from "../route.ts";
import { ago, duration, full, moment, rough, visible } from "../text.ts";
import type { Job } from "../wire.ts";
import { jobText, reasonOf } from "./cells.ts";
import { at, now, took } from "./time.ts";

/** "Failed at 02:13:05, 35 min ago, after 2 m 14 s." */
export function sentenceOf(job: Job): string {
  const seconds = took(job);
  if (job.status === "STARTING")
    return job.retry_at === null
      ? "Accepted; its command does not run yet."
      : `Waits until ${full(at(job.retry_at))}.`;
  if (job.finished_at === null && !isActive(job.status))
    return `Lost: it began at ${moment(at(job.started_at), now())}, and its worker is gone.`;
  if (job.finished_at === null)
    return `Running for ${duration(seconds)}, since ${moment(at(job.started_at), now())}.`;
  const end = at(job.finished_at);
  const found = job.finished_at_detected ? "Found to be lost" : WORDS[job.status];
  return `${found} ${ago(end, now())}, ${full(end)}, after ${duration(seconds)}.`;
}

/** What somebody should know of it, and what to do. */
export function notesOf(job: Job): readonly HTMLElement[] {
  const notes: HTMLElement[] = [];
  const note = (kind: string, ...children: readonly (Node | string)[]) =>
    notes.push(h("p", { class: `note ${kind}`.trimEnd() }, ...children));
  const reason = reasonOf(job);
  if (reason !== "") note(job.status === "FAILED" ? "bad" : "odd", jobText(reason));
  if (job.stalled_since !== null) note("odd", `Stalled: no output since ${full(at(job.stalled_since))}.`);
  if (job.orphan_pids.length > 0)
    note(
      "odd",
      `Its command still runs (process ${job.orphan_pids.join(", ")}) and holds the run key. End it: `,
      h("code", { class: "mono" }, `orchesjob cancel --job-id ${job.job_id}`),
    );
  if (job.silent_seconds !== null)
    note(
      "odd",
      `The member ${visible(job.member ?? "")} has not been heard from for ${rough(job.silent_seconds)}: this is the last known state.`,
    );
  if (job.retried_by_job_id !== null)
    note(
      "",
      "Another attempt followed: ",
      h("a", { href: jobAddress(job.retried_by_job_id) }, "open it"),
      ".",
    );
  return notes;
}
