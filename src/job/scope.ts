/** The systemd scope of a job: when it gets one, and its name. */
export const SCOPE_MODES = ["auto", "always", "never"] as const;
/** `auto`: if the job would end together with the service or session that started it. */
export type ScopeMode = (typeof SCOPE_MODES)[number];

export function isScopeMode(text: string | null): text is ScopeMode {
  return (SCOPE_MODES as readonly (string | null)[]).includes(text);
}

/** The name of a job's scope. Drop-ins in `orchesjob-.scope.d` apply to all of them: systemd.unit(5). */
export function scopeName(jobId: string): string {
  return `orchesjob-${jobId}.scope`;
}
