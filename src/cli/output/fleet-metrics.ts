/** The metrics of a member of a fleet: their names and help texts. Loaded only in a fleet. */
import type { FleetSnapshot } from "../../jobs/fleet-metrics.ts";
import type { Metric, Sample } from "./exposition.ts";

export function toFleetMetrics(fleet: FleetSnapshot): readonly Metric[] {
  const metric = (
    name: string,
    help: string,
    samples: readonly Sample[],
    type: Metric["type"] = "gauge",
  ): Metric => ({ name: `orchesjob_fleet_${name}`, type, help, samples });
  const { member = "", members } = fleet;
  return [
    metric("info", "Always 1; the label says which member of the fleet this is.", [
      { labels: { member }, value: 1 },
    ]),
    metric("registry_up", "Whether the registry of the fleet has answered within a second (1) or not (0).", [
      { value: members === undefined ? 0 : 1 },
    ]),
    ...(members === undefined
      ? []
      : [
          metric(
            "members",
            "Members of the fleet that have a lease now, and those that have none: without jobs a member needs none. Absent if the registry does not answer within a second.",
            [
              { labels: { lease: "held" }, value: members.withLease },
              { labels: { lease: "none" }, value: members.withoutLease },
            ],
          ),
        ]),
    metric(
      "lease_left_seconds",
      "Time until the lease of this member is over; 0 if it is, or if there is none: without jobs nobody renews it.",
      [{ value: fleet.leaseLeftMs / 1000 }],
    ),
    ...(fleet.unpublished === undefined
      ? []
      : [
          metric(
            "unpublished_changes",
            "Jobs of this member of which the registry has yet to hear the newest state.",
            [{ value: fleet.unpublished }],
          ),
        ]),
    metric(
      "renew_failures_total",
      "How often the agent could not renew the lease since the member has joined.",
      [{ value: fleet.renewFailures }],
      "counter",
    ),
    metric("agent_running", "Whether the agent of this member runs (1) or not (0).", [
      { value: fleet.isAgentRunning ? 1 : 0 },
    ]),
  ];
}
