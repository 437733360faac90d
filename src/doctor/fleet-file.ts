/** doctor's check of `fleet.json`, and of the password that it names. */
import { readMembership } from "../fleet/membership.ts";
import { findPassword, parseAddress } from "../fleet/postgres/address.ts";
import { formatDuration } from "../job/duration.ts";
import { libc } from "../linux/ffi/libc.ts";
import { setMode } from "../linux/file-system.ts";
import { statName, statPath } from "../linux/stat.ts";
import type { Home } from "../state/paths.ts";
import { type Finding, fromError, ok, warning } from "./finding.ts";

const OTHERS = 0o077;

export function checkFile(home: Home): Finding {
  try {
    const { name, url, passwordFile, leaseMs, onPartition } = readMembership(home);
    const address = parseAddress(url);
    findPassword(address, passwordFile);
    const mode = passwordFile === undefined ? 0 : (statPath(passwordFile)?.mode ?? 0);
    if ((mode & OTHERS) !== 0)
      return warning(
        `others may read the password file ${passwordFile} of the registry`,
        `chmod 600 ${passwordFile}`,
      );
    return ok(
      `member ${JSON.stringify(name)}, lease ${formatDuration(leaseMs)}, on partition ${onPartition}; registry ${address.place}`,
    );
  } catch (error) {
    const facts = statName(home.fleet);
    // As `permissions`: a link, or a file with a second name, may need its mode elsewhere.
    const isOurs = facts?.kind === "file" && facts.uid === libc.geteuid() && facts.links === 1;
    if (!isOurs || (facts.mode & OTHERS) === 0) return fromError(error);
    const fix = () => {
      setMode(home.fleet, 0o600);
      return `chmod 600 ${home.fleet}`;
    };
    return { ...fromError(error), fix };
  }
}
