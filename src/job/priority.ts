/** The priority that a command asks for: its niceness, and its class of I/O. */
import { OrchesjobError } from "./errors.ts";

export const LOWEST_NICE = -20;
export const HIGHEST_NICE = 19;

const DEFAULT_LEVEL = 4;
const CLASS_SHIFT = 13;

/** Whether a text names a class of I/O, as ionice(1) names them: `idle`, `best-effort`, `realtime:7`. */
export function isIoClass(text: string): boolean {
  return /^(idle|(?:best-effort|realtime)(?::[0-7])?)$/.test(text);
}

/** The value for ioprio_set(2). Throws `usage` for a text that is no class, which only a store could have. */
export function toIoPriority(text: string): number {
  if (!isIoClass(text)) throw new OrchesjobError("usage", `the I/O class ${text} is not known`);
  const [name, level = DEFAULT_LEVEL] = text.split(":");
  if (name === "idle") return 3 << CLASS_SHIFT;
  return ((name === "realtime" ? 1 : 2) << CLASS_SHIFT) | Number(level);
}
