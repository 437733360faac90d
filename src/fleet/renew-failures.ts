/** How often the agent could not renew the lease since the member has joined: the file `fleet.failures`, a number. */
import { readTextIfAny } from "../linux/file.ts";
import { replacePrivateFile } from "../linux/text-file.ts";
import { type Home, memberFiles } from "../state/paths.ts";

export function readRenewFailures(home: Home): number {
  const count = Number(readTextIfAny(memberFiles(home).failures) ?? "0");
  return Number.isSafeInteger(count) ? count : 0;
}

/** Only the agent writes, and only after a failure, so that a renewal costs nothing more. */
export function countRenewFailure(home: Home): void {
  replacePrivateFile(memberFiles(home).failures, `${readRenewFailures(home) + 1}\n`, false);
}
