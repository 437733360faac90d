/** The control group of a process, which in systemd's hierarchy names its unit, and what the kernel counts there. */
import { NO_TRANSFER, type Transfer } from "../job/usage.ts";
import { SystemError } from "./ffi/call.ts";
import { closeFile, openFile, readTextIfAny, writeAll } from "./file.ts";

const LIMITS = "/sys/fs/cgroup";
/** Version 2, if version 1 is in use as well. */
const BESIDE_LEGACY = `${LIMITS}/unified`;
/** Follows the number of systemd's own hierarchy in version 1. */
const LEGACY = ":name=systemd:";

/**
 * The group of a process in systemd's hierarchy, e.g. `/system.slice/nightly.service`; `/` if it is in none. /proc/PID/cgroup
 * has `0::GROUP` in version 2; in version 1 systemd keeps a hierarchy of its own: cgroups(7).
 */
export function readControlGroup(pid: number | "self"): string {
  let legacy: string | undefined;
  for (const line of readGroups(pid)) {
    if (line.startsWith("0::") && line !== "0::/") return line.slice("0::".length);
    const colon = line.indexOf(":");
    if (line.startsWith(LEGACY, colon)) legacy ??= line.slice(colon + LEGACY.length);
  }
  return legacy ?? "/";
}

function readGroups(pid: number | "self"): readonly string[] {
  return (readTextIfAny(`/proc/${pid}/cgroup`) ?? "").split("\n");
}

function groupOf(lines: readonly string[], mark: RegExp): string | undefined {
  return lines.find((line) => mark.test(line))?.replace(mark, "");
}

/** The innermost service or scope in the path of a group; groups below it are part of that unit. */
export function unitOf(group: string): string | undefined {
  let innermost: string | undefined;
  for (const part of group.split("/"))
    if (part.endsWith(".service") || part.endsWith(".scope")) innermost = part;
  return innermost;
}

/** Whether a process is in a unit, or in a group below it. */
export function isInUnit(pid: number | "self", unit: string): boolean {
  return upTo(readControlGroup(pid), unit) !== undefined;
}

/** The path of a group up to a unit; undefined if the unit is not in it. */
function upTo(group: string | undefined, unit: string): string | undefined {
  const parts = group?.split("/") ?? [];
  const position = parts.indexOf(unit);
  return position < 0 ? undefined : parts.slice(0, position + 1).join("/");
}

/** The unit's own group in the hierarchy of a version 1 controller; undefined if the controller has none for the unit. */
function legacyGroup(pid: number | "self", unit: string, controller: string): string | undefined {
  // `4:memory:GROUP`, `1:cpu,cpuacct:GROUP`.
  return upTo(groupOf(readGroups(pid), new RegExp(`^\\d+:([^:]*,)?${controller}(,[^:]*)?:`)), unit);
}

/** Whether a controller of the kernel (`memory`, `cpu`, …) limits the unit that a process is in. */
export function hasController(pid: number, unit: string, controller: string): boolean {
  const group = upTo(readControlGroup(pid), unit);
  const enabled = group && readTextIfAny(`${LIMITS}${group}/cgroup.controllers`);
  return (
    (enabled ?? "").split(/\s+/).includes(controller) || legacyGroup(pid, unit, controller) !== undefined
  );
}

/**
 * Kills all processes of the scope that we are in, us included, by `cgroup.kill`: cgroups(7). Only in version 2, since Linux
 * 5.14; elsewhere it does nothing.
 */
export function killControlGroup(unit: string): void {
  const group = upTo(readControlGroup("self"), unit);
  if (group === undefined) return;
  for (const place of [LIMITS, BESIDE_LEGACY]) {
    try {
      const fd = openFile(`${place}${group}/cgroup.kill`, "write");
      try {
        writeAll(fd, new TextEncoder().encode("1"));
      } finally {
        closeFile(fd);
      }
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
    }
  }
}

/** How many processes of our unit the kernel has killed for lack of memory; undefined if it does not count them. */
export function readMemoryKills(unit: string): number | undefined {
  const group = upTo(readControlGroup("self"), unit);
  const legacy = legacyGroup("self", unit, "memory");
  const events =
    (group && readTextIfAny(`${LIMITS}${group}/memory.events`)) ??
    (legacy && readTextIfAny(`${LIMITS}/memory${legacy}/memory.oom_control`));
  const count = /^oom_kill (\d+)$/m.exec(events ?? "")?.[1];
  return count === undefined ? undefined : Number(count);
}

/**
 * What all processes that were ever in our unit have used, us included. In version 2 the time on processors is always counted,
 * and bytes only if the unit has the controller `io`. Version 1 is not asked.
 */
export function readUnitUsage(unit: string): { readonly cpuSeconds: number | null } & Transfer {
  const group = upTo(readControlGroup("self"), unit);
  const micros = /^usage_usec (\d+)$/m.exec(readStatistics(group, "cpu.stat"))?.[1];
  const cpuSeconds = micros === undefined ? null : Number(micros) / 1e6;
  const devices = readStatistics(group, "io.stat");
  if (devices === "") return { ...NO_TRANSFER, cpuSeconds };
  const sum = (name: string) =>
    [...devices.matchAll(new RegExp(`\\b${name}=(\\d+)`, "g"))].reduce(
      (total, [, n]) => total + Number(n),
      0,
    );
  return { cpuSeconds, ioReadBytes: sum("rbytes"), ioWriteBytes: sum("wbytes") };
}

function readStatistics(group: string | undefined, file: string): string {
  if (group === undefined) return "";
  return (
    readTextIfAny(`${LIMITS}${group}/${file}`) ?? readTextIfAny(`${BESIDE_LEGACY}${group}/${file}`) ?? ""
  );
}
