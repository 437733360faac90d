/** The answers of the actions of `fleet`. */
import { ON_PARTITIONS } from "../../job/fleet.ts";
import {
  anyOf,
  decimal,
  flag,
  integer,
  listOf,
  object,
  oneOf,
  orNull,
  text,
  time,
  type Value,
} from "./schema.ts";

const member = object("A member of the fleet", {
  member: text("Its name"),
  host: orNull(text("Its host; null before its first lease")),
  address: orNull(text("The address from which it came; null before its first lease")),
  state_directory: text("Its state directory"),
  active_jobs: integer("How many of its jobs hold their run keys"),
  unpublished: integer("Changes that the registry does not have yet, as this member last said"),
  lease_left_seconds: orNull(decimal("How much of its lease is left; negative: it is over")),
  renewed_at: orNull(time("When it renewed the lease last")),
  on_partition: oneOf(ON_PARTITIONS, "Its default for --on-partition"),
  version: text("Its version of orchesjob"),
});
export type MemberView = Value<typeof member>;

const fleet = object("fleet join, fleet status: the fleet as this member sees it", {
  member: text("The name of this member"),
  member_id: text("Its id, which stays when the name changes"),
  registry: text("Where the registry is: HOST:PORT/DATABASE"),
  lease_seconds: decimal("The lease of this member"),
  on_partition: oneOf(ON_PARTITIONS, "Its default for --on-partition"),
  unpublished: integer("Changes that the registry does not have yet, now"),
  schema_version: integer("The version of the registry's schema"),
  epoch: integer("A number that grows with each recovery"),
  recovery_seconds: decimal("How long the recovery that is under way lasts; 0: there is none"),
  members: listOf(member, "All members"),
});
export type FleetView = Value<typeof fleet>;

const left = object("fleet leave", {
  left: flag("True"),
  member: text("The name that the member had"),
});
export type LeftView = Value<typeof left>;

const forgotten = object("fleet forget", {
  forgotten: text("The member"),
  reason: text("The text of --reason"),
  jobs: listOf(
    object("A job", { job_id: text("Its id"), run_key: text("Its run key") }),
    "The jobs that held their run keys",
  ),
});
export type ForgottenView = Value<typeof forgotten>;

export const FLEET = anyOf(fleet, left, forgotten);
