/** Says in a sentence why the registry refuses a member. */
import { OrchesjobError } from "../job/errors.ts";
import { commandLine } from "../job/shell-word.ts";
import type { Membership } from "./membership.ts";
import type { Refusal } from "./registry.ts";

/** The error for a refusal that no command can resolve. */
export function refusalError(
  refusal: Exclude<Refusal, { readonly refused: "changed" }>,
  { name }: Membership,
): OrchesjobError {
  switch (refusal.refused) {
    case "recovery":
      return new OrchesjobError(
        "locked",
        `the registry of the fleet may have lost its last moments (another server or an older copy answers), so it grants no key for ${seconds(refusal.waitMs)} until all members have said what they run`,
        "try again then",
      );
    case "cloned":
      return new OrchesjobError(
        "conflict",
        `this state directory is a copy: its membership ${JSON.stringify(name)} is in use on host ${refusal.host}`,
        `if this is the copy, make it a member of its own: orchesjob fleet leave --copy, then orchesjob fleet join URL --name ANOTHER; if this host has replaced the other one, which is gone for good: ${commandLine(["fleet", "forget", name, "--reason", "TEXT"])}`,
      );
    case "unknown":
    case "left":
      return new OrchesjobError(
        "conflict",
        `the registry of the fleet does not know the member ${JSON.stringify(name)} (any more)`,
        "join again: orchesjob fleet join URL",
      );
  }
}

function seconds(ms: number): string {
  return `${Math.max(1, Math.ceil(ms / 1000))} s`;
}
