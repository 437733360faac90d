/** A fleet as JSON and as a table. */
import { formatDuration } from "../../job/duration.ts";
import type { FleetStatus } from "../../agent/membership.ts";
import type { Member } from "../../fleet/registry.ts";
import type { FleetView, MemberView } from "../answers/fleet.ts";
import { formatInstant } from "../options/time.ts";
import type { Column } from "./grid.ts";
import { asText, gridFor, SMALLEST_FLEXIBLE } from "./table.ts";

export function fleetView({ membership, registry, members, unpublished }: FleetStatus): FleetView {
  return {
    member: membership.name,
    member_id: membership.memberId,
    registry: registry.place,
    lease_seconds: membership.leaseMs / 1000,
    on_partition: membership.onPartition,
    unpublished,
    schema_version: registry.schemaVersion,
    epoch: registry.epoch,
    recovery_seconds: registry.recoveryMs / 1000,
    members: members.map(memberView),
  };
}

function memberView(member: Member): MemberView {
  return {
    member: member.name,
    host: member.host,
    address: member.address,
    state_directory: member.stateDirectory,
    active_jobs: member.active,
    unpublished: member.unpublished,
    lease_left_seconds: member.leaseLeftMs === null ? null : member.leaseLeftMs / 1000,
    renewed_at: member.renewedAt === null ? null : formatInstant(member.renewedAt),
    on_partition: member.onPartition,
    version: member.version,
  };
}

/** Columns that are dropped, in this order, if the terminal is too narrow. */
const DISPENSABLE = ["VERSION", "ON PARTITION", "UNPUBLISHED", "HOST"];

/** `width`: as of tableFor. */
export function memberTable(width: number | undefined, members: readonly Member[]): string {
  const column = (heading: string, cell: (member: Member) => string, more: Partial<Column> = {}): Column => ({
    heading,
    cells: members.map(cell),
    ...more,
  });
  const columns = [
    column("MEMBER", (member) => member.name, { least: SMALLEST_FLEXIBLE }),
    column("HOST", (member) => member.host ?? "-", { least: SMALLEST_FLEXIBLE }),
    column("ACTIVE", (member) => String(member.active)),
    column("LEASE LEFT", leaseLeft),
    column("UNPUBLISHED", (member) => String(member.unpublished)),
    column("ON PARTITION", (member) => member.onPartition),
    column("VERSION", (member) => member.version),
  ];
  return asText(gridFor(width, columns, DISPENSABLE));
}

function leaseLeft({ leaseLeftMs }: Member): string {
  if (leaseLeftMs === null) return "-";
  return leaseLeftMs > 0 ? formatDuration(leaseLeftMs) : "over";
}
