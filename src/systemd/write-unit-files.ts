/** `systemd`: writes units into a directory, and never over what somebody has changed. Loaded by that command only. */
import { OrchesjobError } from "../job/errors.ts";
import { callersLimits } from "../linux/caller.ts";
import { withUmask } from "../linux/file.ts";
import { statPath } from "../linux/stat.ts";
import { readTextFile, replaceFile } from "../linux/text-file.ts";
import { systemdUnits, type UnitPlace } from "./unit-files.ts";

export interface WrittenUnits {
  readonly written: readonly string[];
  /** Those that were there already, just so. */
  readonly unchanged: readonly string[];
}

/**
 * Directories that are missing are made with the caller's umask, and the units are for all to read. Throws `conflict`,
 * and has written nothing then, where a file is there that is another, unless `force`; `general` where one is a directory.
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
      `${changed.join(" and ")} ${changed.length === 1 ? "is" : "are"} not what would be written`,
      "nothing was changed. To replace what is there: --force. To keep changes, put them into drop-ins: systemctl edit",
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
    // Why it cannot be looked at, whoever reads it says.
    return false;
  }
}
