/** How a command ended, in the fields of its job. */
import type { Outcome } from "../job/job.ts";
import type { Usage } from "../job/usage.ts";
import type { ExitStatus } from "../linux/children.ts";
import { signalName } from "../linux/signals.ts";

/** The command has not ended yet, or nobody can know how it ended. */
export const UNKNOWN: Outcome = { exitCode: null, signal: null, error: null, failure: null, usage: null };

/** The job was cancelled before its command was launched. */
export const CANCELLED_BEFORE: Outcome = {
  ...UNKNOWN,
  error: "it was cancelled before its command was launched",
};

export function toOutcome(status: ExitStatus, usage: Usage | null): Outcome {
  if ("code" in status) return { ...UNKNOWN, usage, exitCode: status.code };
  return { ...UNKNOWN, usage, exitCode: -status.signal, signal: signalName(status.signal) };
}

/** `ended with exit code 7`, `ended by SIGTERM`. */
export function describeEnd({ exitCode, signal }: Pick<Outcome, "exitCode" | "signal">): string {
  return signal === null ? `ended with exit code ${exitCode}` : `ended by ${signal}`;
}
