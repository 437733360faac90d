/** `systemd`: writes units into a directory, and never over what somebody has changed. Loaded by that command only. */
import { OrchesjobError } from "../job/errors.ts";
import { readTextFile, replaceFile } from "../os/text-file.ts";
import { systemdUnits, type UnitPlace } from "./systemd-units.ts";

export interface WrittenUnits {
  readonly written: readonly string[];
  /** Those that were there already, just so. */
  readonly unchanged: readonly string[];
}

/** Throws `conflict`, and has written nothing then, where a file is there that is another, unless `force`. */
export function writeUnits(directory: string, place: UnitPlace, force: boolean): WrittenUnits {
  const units = Object.entries(systemdUnits(place)).map(([name, text]) => {
    const path = `${directory}/${name}`;
    return { path, text, found: readTextFile(path) };
  });
  const stale = units.filter(({ text, found }) => found !== text);
  const changed = stale.filter(({ found }) => found !== undefined).map(({ path }) => path);
  if (changed.length > 0 && !force) {
    throw new OrchesjobError(
      "conflict",
      `${changed.join(" and ")} ${changed.length === 1 ? "is" : "are"} not what would be written; nothing was changed. To replace what is there: --force. To keep changes, put them into drop-ins: systemctl edit`,
    );
  }
  for (const { path, text } of stale) replaceFile(path, text);
  return {
    written: stale.map(({ path }) => path),
    unchanged: units.filter((unit) => !stale.includes(unit)).map(({ path }) => path),
  };
}
