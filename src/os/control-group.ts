/** The control group that a process is in, which in systemd's hierarchy names its unit. */
import { readTextIfAny } from "./file.ts";

/**
 * A process's group in systemd's hierarchy, e.g. `/system.slice/nightly.service`; `/` where nobody has made one for it. See
 * cgroups(7), /proc/PID/cgroup: `0::GROUP` in version 2; in version 1 systemd keeps a hierarchy of its own.
 */
export function readControlGroup(pid: number | "self"): string {
  const lines = (readTextIfAny(`/proc/${pid}/cgroup`) ?? "").split("\n");
  const group = groupOf(lines, /^0::/);
  return group === undefined || group === "/" ? (groupOf(lines, /^\d+:name=systemd:/) ?? "/") : group;
}

function groupOf(lines: readonly string[], mark: RegExp): string | undefined {
  return lines.find((line) => mark.test(line))?.replace(mark, "");
}

/** The innermost service or scope of a group; groups below it are its own affair. */
export function unitOf(group: string): string | undefined {
  return group.split("/").findLast((part) => /\.(service|scope)$/.test(part));
}

/** Whether a process is in a unit, or in a group below it. */
export function isInUnit(pid: number | "self", unit: string): boolean {
  return readControlGroup(pid).split("/").includes(unit);
}
