/** What a job may do beside its time limit, and what its command gets. Each is absent where the caller did not ask for it. */
export interface Limits {
  /** The job is stalled when neither stream has had output for this time, in ms. */
  readonly stallAfterMs?: number;
  /** What happens then: CANCEL_ON_STALL, or a shell command that runs. */
  readonly onStall?: string;
  /** Time between TERM and KILL when a limit ends the job, in ms. */
  readonly graceMs?: number;
  /** Absolute paths of files of variables, which are read for each attempt. */
  readonly envFiles?: readonly string[];
  /** The most bytes that the log of each stream gets. */
  readonly maxLogBytes?: number;
  /** Absent: drop. */
  readonly onLogLimit?: OnLogLimit;
  /** The niceness of the command, from -20 to 19. */
  readonly nice?: number;
  /** As the caller wrote it: see priority.ts. */
  readonly ioClass?: string;
}

/** What happens when a stream exceeds its --max-log-bytes: it loses its middle, or the job is ended as well. */
export const ON_LOG_LIMITS = ["drop", "end"] as const;
export type OnLogLimit = (typeof ON_LOG_LIMITS)[number];

export const NO_LIMITS: Limits = {};

export const CANCEL_ON_STALL = "cancel";

const KINDS: Readonly<Record<Exclude<keyof Limits, "envFiles">, "number" | "string">> = {
  stallAfterMs: "number",
  onStall: "string",
  graceMs: "number",
  maxLogBytes: "number",
  onLogLimit: "string",
  nice: "number",
  ioClass: "string",
};

/** Whether a value is what a store has kept. A newer version may have added to it. */
export function isLimits(value: unknown): value is Limits {
  if (typeof value !== "object" || value === null) return false;
  const { envFiles = [] } = value as Limits;
  if (!Array.isArray(envFiles) || envFiles.some((path) => typeof path !== "string")) return false;
  return Object.entries(KINDS).every(([name, kind]) => {
    const limit = (value as Record<string, unknown>)[name];
    return limit === undefined || typeof limit === kind;
  });
}

/** The command that runs when the job stalls; undefined if it has none. */
export function stallCommand({ onStall }: Limits): string | undefined {
  return onStall === CANCEL_ON_STALL ? undefined : onStall;
}
