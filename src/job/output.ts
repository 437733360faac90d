/** Where the command's output goes, and where its stdin comes from. */

/** `file`: straight into the logs. `pipe`: into FIFOs that the worker copies into the logs, which the command cannot truncate then. */
export const OUTPUT_MODES = ["file", "pipe"] as const;
export type OutputMode = (typeof OUTPUT_MODES)[number];

/** In place of a path: the caller's own stdin, which is copied into a file of the job. */
export const OWN_STDIN = "-";

/** How a part of a stream stands in JSON: base64 if it is not UTF-8. */
export const ENCODINGS = ["utf-8", "base64"] as const;
export type Encoding = (typeof ENCODINGS)[number];
