/** The answers of the JSON API of `serve` that no command prints. Times in `…_ms` are milliseconds since 1970. */
import { STATUSES } from "../../job/status.ts";
import { RECENT_RUNS } from "../../job/usual.ts";
import { JOB } from "./job.ts";
import {
  anyOf,
  both,
  decimal,
  flag,
  integer,
  listOf,
  named,
  object,
  oneOf,
  orNull,
  text,
  time,
  type Value,
} from "./schema.ts";

const usual = object(
  `What is usual for the run key: the jobs that SUCCEEDED among its newest ${RECENT_RUNS} finished ones`,
  {
    runs: integer("How many finished jobs were looked at"),
    succeeded: integer("How many of them SUCCEEDED; the durations are theirs"),
    success_rate: orNull(decimal("succeeded / runs; null: there are none")),
    median_seconds: orNull(decimal("Half of them took no longer; null: none SUCCEEDED")),
    p95_seconds: orNull(decimal("95 % of them took no longer")),
    shortest_seconds: orNull(decimal("The shortest")),
    longest_seconds: orNull(decimal("The longest")),
  },
);
const USUAL = named("api_usual", usual);
export type UsualView = Value<typeof usual>;

const run = object("A job as a bar on a line of time", {
  job_id: text("Its id"),
  run_key: text("Its run key"),
  status: oneOf(STATUSES, "Its status"),
  started_ms: decimal("When it began"),
  finished_ms: orNull(decimal("When it ended; of a LOST job, when the loss was found; null: it is active")),
});
const RUN = named("api_run", run);
export type RunView = Value<typeof run>;

const totals = object("Jobs that ended in a period", {
  ended: decimal("How many"),
  succeeded: decimal("SUCCEEDED"),
  failed: decimal("FAILED"),
  lost: decimal("LOST"),
  cancelled: decimal("CANCELLED"),
  success_rate: orNull(decimal("succeeded / ended; null: none ended")),
});
const TOTALS = named("api_totals", totals);
export type TotalsView = Value<typeof totals>;

const activeJob = both(
  JOB,
  object("What the overview adds to an active job", {
    elapsed_seconds: decimal("How long it runs"),
    is_slow: flag("Whether that is longer than p95_seconds, with at least 5 successes to compare with"),
    median_seconds: orNull(decimal("Of what is usual for its key")),
    p95_seconds: orNull(decimal("Of what is usual for its key")),
  }),
);
export type ActiveJobView = Value<typeof activeJob>;

const overview = object("/api/overview", {
  at: time("Now"),
  host: text("The name of the host"),
  state_directory: text("The state directory"),
  version: text("The version of orchesjob"),
  in_fleet: flag("Whether the state directory is in a fleet"),
  active: integer("How many jobs are active"),
  stalled: integer("How many of them are stalled"),
  slow: integer("How many of them take longer than usual"),
  jobs: listOf(activeJob, "The active jobs, the oldest first"),
  last_24_hours: TOTALS,
  usual_24_hours: TOTALS,
  usual_days: integer(
    "usual_24_hours is the average of so many days before these 24 hours: 28, fewer if the history is shorter; 0: there is none",
  ),
});
export type OverviewView = Value<typeof overview>;

const timeline = object("/api/timeline: the newest end first, active jobs before them", {
  from_ms: decimal("The beginning"),
  to_ms: decimal("The end"),
  keys: listOf(text("A run key"), "Run keys of the runs"),
  runs: listOf(
    object("A run", {
      key: integer("Its place in `keys`"),
      job_id: text("Its id"),
      status: oneOf(STATUSES, "Its status"),
      started_ms: decimal("When it began"),
      finished_ms: orNull(decimal("When it ended; null: it is active")),
    }),
    "The runs",
  ),
  is_cut: flag("Whether there may be more: at most `limit` are returned"),
});
export type TimelineView = Value<typeof timeline>;

const keys = object("/api/keys: run keys in their order", {
  keys: listOf(
    object("A run key", {
      run_key: text("Its name"),
      attempt_no: integer("The number of its newest job"),
      last: RUN,
      runs: integer("As in usual"),
      succeeded: integer("As in usual"),
      success_rate: orNull(decimal("As in usual")),
      median_seconds: orNull(decimal("As in usual")),
      p95_seconds: orNull(decimal("As in usual")),
    }),
    "The keys",
  ),
  next: orNull(text("Ask for ?after= this; null: there are no more")),
});
export type KeysView = Value<typeof keys>;

const key = object("/api/keys/KEY", {
  run_key: text("Its name"),
  job: JOB,
  usual: USUAL,
  runs: listOf(RUN, "Its newest jobs, the newest first"),
  days: listOf(
    both(object("A day", { day: text("YYYY-MM-DD, in the time zone of the server") }), TOTALS),
    "Outcomes of the last days, the oldest first; a job counts on the day on which it ended",
  ),
});
export type KeyView = Value<typeof key>;

const search = object("/api/jobs/ID/stdout/search", {
  matches: listOf(
    object("A line that has the text", {
      at: integer("The offset of the text in the log, in bytes"),
      line_at: integer("The offset of `line`"),
      line: text("The line, or the part of it around the text"),
    }),
    "In order",
  ),
  next: orNull(integer("Search on with ?from= this; null: the log is searched to its end")),
  size: integer("The size of the log"),
});
export type SearchView = Value<typeof search>;

const failure = object("Any answer that is no success", {
  error: object("Why", { code: text("For programs"), message: text("For people") }),
});

export const SERVE = anyOf(
  named("api_overview", overview),
  named("api_timeline", timeline),
  named("api_keys", keys),
  named("api_key", key),
  named("api_search", search),
  named("api_failure", failure),
);
