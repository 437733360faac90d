/** Finds out the caller's soft limit of open files, which Bun raises when it starts. */
import { readControlGroup, unitOf } from "../linux/control-group.ts";
import { readTextIfAny } from "../linux/file.ts";
import { showUnit } from "./systemctl.ts";

/**
 * Returns the caller's soft limit of open files; undefined if nobody knows it. Bun has raised our own limit to the hard one by
 * now, so we read that of our parent. If the parent is systemd, which sets limits for its units, we ask systemd.
 */
export function readCallerFileLimit(): bigint | undefined {
  // A parent outside the container (`docker exec`) has pid 0. The container's first process was given the same limits.
  const parent = process.ppid || 1;
  if (readTextIfAny(`/proc/${parent}/comm`) === "systemd\n") return readUnitFileLimit(parent);
  const text = readTextIfAny(`/proc/${parent}/limits`) ?? "";
  return toLimit(text.slice(text.indexOf(FILE_LIMIT_LINE) + FILE_LIMIT_LINE.length));
}

const FILE_LIMIT_LINE = "Max open files";
const FILE_LIMIT_PROPERTY = "LimitNOFILESoft";
/** systemd's built-in DefaultLimitNOFILE=: systemd-system.conf(5). */
const SYSTEMD_DEFAULT_FILE_LIMIT = 1024n;

/** How long we wait for systemd, in ms: one that hangs must not block us. */
const SYSTEMD_TIMEOUT_MS = 5_000;

/** Returns the limit that systemd has set for our unit. */
function readUnitFileLimit(manager: number): bigint {
  const unit = unitOf(readControlGroup("self")) ?? "";
  const option = manager === 1 ? "--system" : "--user";
  const limit = showUnit(option, unit, FILE_LIMIT_PROPERTY, SYSTEMD_TIMEOUT_MS)?.get(FILE_LIMIT_PROPERTY);
  return toLimit(limit ?? "") ?? SYSTEMD_DEFAULT_FILE_LIMIT;
}

/** The number that a text begins with; undefined for none, as in `unlimited`. */
function toLimit(text: string): bigint | undefined {
  const number = Number.parseInt(text, 10);
  return Number.isSafeInteger(number) ? BigInt(number) : undefined;
}
