/**
 * Writes the units of `orchesjob systemd` into a directory; replaces changed ones only if forced. Loaded by that command only.
 */
import { OrchesjobError } from "../job/errors.ts";
import { callersLimits } from "../linux/caller.ts";
import { withUmask } from "../linux/file.ts";
import { statPath } from "../linux/stat.ts";
import { readTextFile, replaceFile } from "../linux/text-file.ts";
import { systemdUnits, type UnitPlace } from "./unit-files.ts";

export interface WrittenUnits {
  readonly written: readonly string[];
  /** Units that were there already, with the same text. */
  readonly unchanged: readonly string[];
}

/**
 * Creates missing directories with the caller's umask; everybody may read the units. Throws `conflict` if a file differs,
 * unless `force`, and `general` if one is a directory. Then nothing has been written.
 */
export function writeUnits(directory: string, place: UnitPlace, force: boolean): WrittenUnits {
  const units = Object.entries(systemdUnits(place)).map(([name, text]) => {
    const path = `${directory}/${name}`;
    if (isDirectory(path)) {
      throw new OrchesjobError("general", `${path} is a directory`, "nothing was changed. Move it away");
    }
    return { path, text, found: readTextFile(path) };
  });
  const stale = units.filter(({ text, found }) => found !== text);
  const changed = stale.filter(({ found }) => found !== undefined).map(({ path }) => path);
  if (changed.length > 0 && !force) {
    throw new OrchesjobError(
      "conflict",
      `${changed.join(" and ")} ${changed.length === 1 ? "differs from the unit" : "differ from the units"} of this orchesjob`,
      "nothing was changed. To overwrite: --force. To keep changes, put them into drop-ins: systemctl edit",
    );
  }
  withUmask(callersLimits().umask, () => stale.forEach(({ path, text }) => replaceFile(path, text)));
  return {
    written: stale.map(({ path }) => path),
    unchanged: units.filter((unit) => !stale.includes(unit)).map(({ path }) => path),
  };
}

function isDirectory(path: string): boolean {
  try {
    return statPath(path)?.kind === "directory";
  } catch {
    // The code that reads the file reports why it cannot be accessed.
    return false;
  }
}
