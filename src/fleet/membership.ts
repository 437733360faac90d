/** The membership of a state directory in a fleet: its file `fleet.json` (0600). */
import { OrchesjobError } from "../job/errors.ts";
import { LONGEST_LEASE_MS, ON_PARTITIONS, type OnPartition, SHORTEST_LEASE_MS } from "../job/fleet.ts";
import { shellWord } from "../job/shell-word.ts";
import { readTextIfAny } from "../linux/file.ts";
import { replacePrivateFile } from "../linux/text-file.ts";
import { isThere, statPath } from "../linux/stat.ts";
import { type Home, memberFiles } from "../state/paths.ts";

export interface Membership {
  /** Of PostgreSQL; without a password if that is elsewhere. */
  readonly url: string;
  /** A file whose first line is the password; undefined: the password is in the URL, or in ~/.pgpass. */
  readonly passwordFile?: string;
  readonly memberId: string;
  readonly name: string;
  readonly leaseMs: number;
  readonly onPartition: OnPartition;
  /** Whether the end of each job's output is published. */
  readonly publishesOutput: boolean;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Throws `conflict` if something else than a lease has its name. A job that must not outlast the lease would be ended at once. */
export function checkLease(home: Home): void {
  const { lease } = memberFiles(home);
  if ((statPath(lease)?.kind ?? "file") === "file") return;
  throw new OrchesjobError(
    "conflict",
    `${lease} is not a file, so the lease of this member cannot be written`,
    `nothing was started or changed; move it away: mv ${shellWord(lease)} ${shellWord(`${lease}.old`)}`,
  );
}

/** Throws `not-found` if the directory is in no fleet, `conflict` if the file is not as it should be. */
export function readMembership(home: Home): Membership {
  const facts = statPath(home.fleet);
  if (facts === undefined && isThere(memberFiles(home).lease))
    throw new OrchesjobError(
      "conflict",
      `${home.fleet} is missing, but the state directory is a member of a fleet`,
      "put it back, or join again as the same member: orchesjob fleet join URL --name NAME",
    );
  if (facts === undefined)
    throw new OrchesjobError(
      "not-found",
      `the state directory ${home.path} is in no fleet`,
      "to join one: orchesjob fleet join URL",
    );
  checkLease(home);
  if ((facts.mode & 0o077) !== 0)
    throw new OrchesjobError(
      "conflict",
      `others may read ${home.fleet}, which may have a password in it`,
      `run: chmod 600 ${home.fleet}`,
    );
  try {
    const found = JSON.parse(readTextIfAny(home.fleet) ?? "") as Membership;
    const isWhole =
      [found.url, found.memberId, found.name].every((each) => typeof each === "string" && each !== "") &&
      UUID.test(found.memberId) &&
      Number.isSafeInteger(found.leaseMs) &&
      found.leaseMs >= SHORTEST_LEASE_MS &&
      found.leaseMs <= LONGEST_LEASE_MS &&
      ON_PARTITIONS.includes(found.onPartition);
    if (isWhole) return found;
  } catch {
    // Reported below.
  }
  throw new OrchesjobError(
    "conflict",
    `${home.fleet} is damaged, so nobody knows which fleet this is`,
    "nothing was started. Restore the file; or, when no job is active, remove it and join as another member: orchesjob fleet join URL --name ANOTHER",
  );
}

export function writeMembership(home: Home, membership: Membership): void {
  replacePrivateFile(home.fleet, `${JSON.stringify(membership, null, 2)}\n`);
}
