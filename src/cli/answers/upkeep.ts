/** The answers of the commands that look after run keys and the state directory: unlock, clean, systemd, doctor. */
import { STATUSES } from "../../job/status.ts";
import {
  anyOf,
  flag,
  integer,
  listOf,
  object,
  oneOf,
  orNull,
  text,
  time,
  type Schema,
  type Value,
} from "./schema.ts";

export const UNLOCK = object("A permission to run a strict run key once more", {
  unlocked: flag("True"),
  run_key: text("The run key that may run once more"),
  allowed_at: time("When this was allowed"),
  expires_at: orNull(time("When the permission ends")),
  reason: orNull(text("The text of unlock --reason")),
});
export type UnlockView = Value<typeof UNLOCK>;

const cleanedJob = object("A job that was deleted", {
  job_id: text("Its id"),
  run_key: text("Its run key"),
  status: oneOf(STATUSES, "Its status"),
  selected_at: integer("When it ended, in seconds since 1970"),
  selected_at_iso: time("When it ended"),
});

const cleaned = object(
  "What was deleted; with --dry-run, what would be",
  {
    deleted: integer("Jobs"),
    errors: integer("Jobs that could not be deleted; stderr says why"),
    stray_files: integer("Files that belonged to no job"),
    kept_unpublished: integer(
      "Jobs that stay because the registry of the fleet has yet to hear of their end",
    ),
    dry_run: flag("Whether nothing was deleted"),
    items: listOf(cleanedJob, "The jobs, in the order of their end; at most 1,000"),
    items_omitted: integer("How many more there are"),
  },
  {
    log_bytes: integer(
      "Only with --max-log-bytes: the size of the logs that are left, those of active jobs included",
    ),
  },
);
export type CleanView = Value<typeof cleaned>;

const cleanedRegistry = object(
  "With --fleet: what was deleted from the registry; with --dry-run, what would be",
  {
    deleted: integer("Jobs"),
    dry_run: flag("Whether nothing was deleted"),
  },
);
export type CleanFleetView = Value<typeof cleanedRegistry>;

export const CLEAN = anyOf(cleaned, cleanedRegistry);

export const SYSTEMD = object("The systemd units", {
  written: listOf(text("A path"), "Units that were written"),
  unchanged: listOf(text("A path"), "Units that were there with the same content"),
});
export type SystemdView = Value<typeof SYSTEMD>;

const VERDICTS = ["ok", "warning", "problem"] as const;

export const DOCTOR = object("The findings about a state directory", {
  summary: object("The worst status, and counts", {
    status: oneOf(VERDICTS, "The worst status of all checks"),
    ok: integer("The number of checks that are ok"),
    warning: integer("The number of checks that report a warning"),
    problem: integer("The number of checks that report a problem"),
    fixed: integer("The number of checks for which --fix repaired something"),
  }),
  checks: listOf(
    object("A check", {
      check: text("The name of the check, for example permissions"),
      status: oneOf(VERDICTS, "After the repair, if there was one"),
      message: text("What the check found"),
      way_out: orNull(text("What to do about it")),
      fixed: orNull(text("What --fix did")),
    }),
    "The checks, in the order in which they were made",
  ),
});
export type DoctorView = Value<typeof DOCTOR>;

/** `schema`: a document of JSON Schema. */
export const SCHEMA: Schema = {
  keywords: {
    type: "object",
    description: "A JSON Schema (2020-12)",
    $ref: "https://json-schema.org/draft/2020-12/schema",
  },
};
