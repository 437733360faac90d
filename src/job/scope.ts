/** A scope of systemd for a job's processes: when one is wanted, and what it is called. */
export const SCOPE_MODES = ["auto", "always", "never"] as const;
/** `auto`: where the job would be ended together with what started it. */
export type ScopeMode = (typeof SCOPE_MODES)[number];

export function isScopeMode(text: string | null): text is ScopeMode {
  return (SCOPE_MODES as readonly (string | null)[]).includes(text);
}

/** The name of a job's own scope. Drop-ins in `orchesjob-.scope.d` apply to all of them: systemd.unit(5). */
export function scopeName(jobId: string): string {
  return `orchesjob-${jobId}.scope`;
}
