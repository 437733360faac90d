/** The soft limit of open files that the caller had before Bun raised it. */
import { readControlGroup, unitOf } from "../linux/control-group.ts";
import { readTextIfAny } from "../linux/file.ts";
import { showUnit } from "./systemctl.ts";

/**
 * The soft limit of open files that the caller had; undefined where nobody can tell. Bun has raised our own to the hard one
 * by now, so the parent is the nearest witness; where that is systemd, which sets limits on the way to us, systemd itself is.
 */
export function readCallerFileLimit(): bigint | undefined {
  // A parent out of sight (`docker exec`) has the number 0. The container's first process was given the same limits.
  const witness = process.ppid || 1;
  if (readTextIfAny(`/proc/${witness}/comm`) === "systemd\n") return readUnitFileLimit(witness);
  const text = readTextIfAny(`/proc/${witness}/limits`) ?? "";
  return toLimit(text.slice(text.indexOf(FILE_LIMIT_LINE) + FILE_LIMIT_LINE.length));
}

const FILE_LIMIT_LINE = "Max open files";
const FILE_LIMIT_PROPERTY = "LimitNOFILESoft";
/** systemd's DefaultLimitNOFILE= where nobody has set another: systemd-system.conf(5). */
const SYSTEMD_DEFAULT_FILE_LIMIT = 1024n;

/** A systemd that hangs must not hold us up, in ms. */
const SYSTEMD_PATIENCE_MS = 5_000;

/** What systemd has set for the unit that we are in. */
function readUnitFileLimit(manager: number): bigint {
  const unit = unitOf(readControlGroup("self")) ?? "";
  const option = manager === 1 ? "--system" : "--user";
  const limit = showUnit(option, unit, FILE_LIMIT_PROPERTY, SYSTEMD_PATIENCE_MS)?.get(FILE_LIMIT_PROPERTY);
  return toLimit(limit ?? "") ?? SYSTEMD_DEFAULT_FILE_LIMIT;
}

/** The number that a text begins with; undefined for none, as in `unlimited`. */
function toLimit(text: string): bigint | undefined {
  const number = Number.parseInt(text, 10);
  return Number.isSafeInteger(number) ? BigInt(number) : undefined;
}
