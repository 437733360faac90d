/** The priority that a command asks for: its niceness, and its class of I/O. */
import { OrchesjobError } from "./errors.ts";

export const LOWEST_NICE = -20;
export const HIGHEST_NICE = 19;

/** The classes of ioprio_set(2) by the names of ionice(1), with their numbers. */
const IO_CLASSES: Readonly<Record<string, number>> = { realtime: 1, "best-effort": 2, idle: 3 };
export const IO_CLASS_FORM = /^(idle|(?:best-effort|realtime)(?::[0-7])?)$/;
const DEFAULT_LEVEL = 4;
const CLASS_SHIFT = 13;

/** The value for ioprio_set(2). Throws `usage` for a text that is not of IO_CLASS_FORM, which only a store could have. */
export function toIoPriority(text: string): number {
  if (!IO_CLASS_FORM.test(text)) throw new OrchesjobError("usage", `the I/O class ${text} is not known`);
  const [name = "", level = name === "idle" ? 0 : DEFAULT_LEVEL] = text.split(":");
  return (IO_CLASSES[name]! << CLASS_SHIFT) | Number(level);
}
