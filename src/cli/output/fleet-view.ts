/** A fleet as JSON and as a table. */
import { formatDuration } from "../../job/duration.ts";
import type { FleetStatus } from "../../agent/membership.ts";
import type { Member } from "../../fleet/registry.ts";
import type { FleetView, MemberView } from "../answers/fleet.ts";
import { formatInstant } from "../options/time.ts";
import { sanitize } from "./sanitize.ts";

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

const HEADINGS = ["MEMBER", "HOST", "ACTIVE", "LEASE LEFT", "UNPUBLISHED", "ON PARTITION", "VERSION"];

export function memberTable(members: readonly Member[]): string {
  const rows = [
    HEADINGS,
    ...members.map((member) => [
      sanitize(member.name),
      sanitize(member.host ?? "-"),
      String(member.active),
      member.leaseLeftMs === null
        ? "-"
        : member.leaseLeftMs > 0
          ? formatDuration(member.leaseLeftMs)
          : "over",
      String(member.unpublished),
      member.onPartition,
      member.version,
    ]),
  ];
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => Bun.stringWidth(row[column]!))));
  const line = (row: readonly string[]) =>
    row
      .map((text, column) => text + " ".repeat(widths[column]! - Bun.stringWidth(text)))
      .join("  ")
      .trimEnd();
  return rows.map((row) => `${line(row)}\n`).join("");
}
