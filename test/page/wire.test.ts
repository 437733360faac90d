/** What the page reads of the server's answers is what they are declared to have: this file is an error of the type checker if not. */
import { expect, test } from "bun:test";
import type { MemberView, FleetView } from "../../src/cli/answers/fleet.ts";
import type { JobView } from "../../src/cli/answers/job.ts";
import { STATUSES } from "../../src/job/status.ts";
import type {
  ActiveJobView,
  KeysView,
  KeyView,
  OverviewView,
  SearchView,
  TimelineView,
} from "../../src/cli/answers/serve.ts";
import type * as wire from "../../src/page/wire.ts";

/** True if whoever reads a `Read` may be given a `Given`. */
type Fits<Given extends Read, Read> = [Given, Read] extends [never, never] ? false : true;

const FIT: {
  readonly job: Fits<JobView, wire.Job>;
  readonly active: Fits<ActiveJobView, wire.ActiveJob>;
  readonly overview: Fits<OverviewView, wire.Overview>;
  readonly timeline: Fits<TimelineView, wire.Timeline>;
  readonly keys: Fits<KeysView, wire.Keys>;
  readonly key: Fits<KeyView, wire.Key>;
  readonly search: Fits<SearchView, wire.Found>;
  readonly member: Fits<MemberView, wire.Member>;
  readonly fleet: Fits<FleetView, wire.Fleet>;
} = {
  job: true,
  active: true,
  overview: true,
  timeline: true,
  keys: true,
  key: true,
  search: true,
  member: true,
  fleet: true,
};

test("the page knows the statuses", () => {
  const known: Record<(typeof STATUSES)[number], true> & Record<wire.Status, true> = {
    STARTING: true,
    RUNNING: true,
    SUCCEEDED: true,
    FAILED: true,
    LOST: true,
    CANCELLED: true,
  };
  expect(Object.keys(known).sort()).toEqual([...STATUSES].sort());
  expect(Object.values(FIT)).not.toContain(false);
});
