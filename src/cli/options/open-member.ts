/** The member of the fleet that the state directory is. Loads the client of the registry only if it is one. */
import type { FleetMember } from "../../fleet/member.ts";
import type { Context } from "../../state/context.ts";

/** Throws `not-found` if the state directory is in no fleet. */
export async function openMember(context: Context): Promise<FleetMember> {
  const found = await context.openFleet();
  if (found !== undefined) return found as FleetMember;
  // There is none, so it says why.
  const { readMembership } = await import("../../fleet/membership.ts");
  readMembership(context.home);
  return openMember(context);
}
