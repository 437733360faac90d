/** What the command's stdout and stderr are, and where its stdin comes from. */

/** `file`: the logs themselves. `pipe`: FIFOs, from which the worker copies into the logs, so that nobody can truncate these. */
export const OUTPUT_MODES = ["file", "pipe"] as const;
export type OutputMode = (typeof OUTPUT_MODES)[number];

/** In place of a path: what the caller gave on its own stdin, kept in a file of the job's. */
export const OWN_STDIN = "-";
