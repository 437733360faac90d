/**
 * The state machine of a job. A status changes only by an event of this table, and the store derives its guarded statements
 * from it, so a terminal status never changes.
 *
 *   (accept) -> STARTING --run--> RUNNING --succeed | fail | cancel | lose--> terminal
 *                  \------------ fail | cancel | lose ---------------------> terminal
 */
export const STATUSES = ["STARTING", "RUNNING", "SUCCEEDED", "FAILED", "LOST", "CANCELLED"] as const;
export type JobStatus = (typeof STATUSES)[number];

export const ACTIVE = ["STARTING", "RUNNING"] as const satisfies readonly JobStatus[];

interface Event {
  readonly from: readonly JobStatus[];
  readonly to: JobStatus;
}

export const EVENTS = {
  /** The worker wins the claim: it alone may now execute the command. */
  run: { from: ["STARTING"], to: "RUNNING" },
  /** The command exited with code 0. */
  succeed: { from: ["RUNNING"], to: "SUCCEEDED" },
  /** The command exited with another code, was ended by a signal, or could not be launched. */
  fail: { from: ["STARTING", "RUNNING"], to: "FAILED" },
  /** A user cancelled the job, and the command was ended. */
  cancel: { from: ["STARTING", "RUNNING"], to: "CANCELLED" },
  /** There is proof that launcher and worker are gone: docs/guarantees.md, section 5. */
  lose: { from: ["STARTING", "RUNNING"], to: "LOST" },
} as const satisfies Record<string, Event>;

export type JobEvent = keyof typeof EVENTS;

export function isActive(status: JobStatus): boolean {
  return status === "STARTING" || status === "RUNNING";
}
