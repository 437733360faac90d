/** The fleet: its members and their leases, and which of them runs what. */
import { get, ServerError } from "../api.ts";
import { h } from "../dom.ts";
import { everySecond } from "../live.ts";
import {
  keyColumn,
  jobText,
  type Row,
  startedColumn,
  tookColumn,
  timeOf,
  wordsColumn,
} from "../parts/cells.ts";
import { cardOf, tilesIn } from "../parts/cards.ts";
import type { Column } from "../parts/table.ts";
import { at, now } from "../parts/time.ts";
import { ago, count, duration, rough, visible } from "../text.ts";
import type { Fleet, Job, Member } from "../wire.ts";

/** How often the registry is asked, in ms. */
const EVERY = 5_000;

const MEMBERS: readonly Column<Member>[] = [
  {
    name: "Member",
    kind: "key",
    text: ({ member, host, address }) => `${member}\n${host}${address}`,
    make: ({ member, host, address }) => [
      jobText(member),
      h("span", { class: "under" }, visible([host, address].filter((part) => part !== null).join(" · "))),
    ],
  },
  {
    name: "Lease",
    kind: "nowrap",
    text: (member) => leaseOf(member),
    make: (member) => [h("span", { class: isSilent(member) ? "slow" : "" }, leaseOf(member))],
  },
  {
    name: "Renewed",
    kind: "nowrap",
    labelled: true,
    text: ({ renewed_at }) => (renewed_at === null ? "never" : ago(at(renewed_at), now())),
    make: ({ renewed_at }) => [
      renewed_at === null ? "never" : timeOf(renewed_at, ago(at(renewed_at), now())),
    ],
  },
  { name: "Active jobs", kind: "number", labelled: true, text: ({ active_jobs }) => count(active_jobs) },
  { name: "Unpublished", kind: "number", labelled: true, text: ({ unpublished }) => count(unpublished) },
  { name: "When cut off", labelled: true, text: ({ on_partition }) => on_partition },
  { name: "Version", labelled: true, text: ({ version }) => visible(version) },
  {
    name: "State directory",
    kind: "wide",
    text: ({ state_directory }) => state_directory,
    make: ({ state_directory }) => [jobText(state_directory, "mono small")],
  },
];

const isSilent = ({ lease_left_seconds }: Member) => lease_left_seconds === null || lease_left_seconds < 0;

function leaseOf({ lease_left_seconds }: Member): string {
  if (lease_left_seconds === null) return "no lease";
  return lease_left_seconds < 0
    ? `over for ${rough(-lease_left_seconds)}`
    : `${rough(lease_left_seconds)} left`;
}

const memberColumn: Column<Row> = {
  name: "Member",
  labelled: true,
  text: ({ job }) => visible(job.member ?? `${job.host} (this one)`),
};

export async function showFleet(into: HTMLElement, _: unknown, signal: AbortSignal): Promise<string> {
  const load = async () => ({
    fleet: await get<Fleet>("/api/fleet", signal),
    jobs: await get<readonly Job[]>("/api/jobs?fleet=1&active=1&limit=200", signal),
  });
  let data: Awaited<ReturnType<typeof load>>;
  try {
    data = await load();
  } catch (error) {
    if (!(error instanceof ServerError) || error.status !== 404) throw error;
    into.append(
      h("h1", {}, "Fleet"),
      h(
        "p",
        {},
        "This state directory is in no fleet. Several hosts can share their run keys: see `orchesjob fleet --help`.",
      ),
    );
    return "Fleet";
  }
  const members = cardOf("Members", MEMBERS, ({ member }) => member);
  const jobs = cardOf<Row>(
    "Who runs what",
    [memberColumn, keyColumn, { ...tookColumn, name: "For" }, startedColumn, wordsColumn],
    ({ job }) => job.job_id,
  );
  const tiles = h("dl", { class: "tiles" });
  const recovery = h("p", { class: "note odd", hidden: true });
  into.append(
    h(
      "div",
      { class: "head" },
      h("h1", {}, "Fleet"),
      h(
        "span",
        { class: "soft" },
        `registry ${visible(data.fleet.registry)}, seen by ${visible(data.fleet.member)}`,
      ),
    ),
    recovery,
    tiles,
    members.card,
    jobs.card,
  );
  const tile = tilesIn(tiles);
  const show = () => {
    const { fleet } = data;
    const silent = fleet.members.filter(isSilent).length;
    tile("Members", count(fleet.members.length), `a lease lasts ${duration(fleet.lease_seconds)}`, "");
    tile(
      "Without a lease",
      count(silent),
      silent === 0 ? "all have reported in time" : "cut off, stopped or slow",
      silent > 0 ? "bad" : "",
    );
    tile(
      "Active jobs",
      count(fleet.members.reduce((sum, { active_jobs }) => sum + active_jobs, 0)),
      "hold their run keys",
      "",
    );
    recovery.hidden = fleet.recovery_seconds <= 0;
    recovery.textContent = `The registry recovers for another ${rough(fleet.recovery_seconds)}.`;
    members.show(fleet.members);
    jobs.show(data.jobs.map((job) => ({ job })));
  };
  everySecond(signal, show);
  const timer = setInterval(() => {
    if (!document.hidden)
      void load().then(
        (answer) => (data = answer),
        () => undefined,
      );
  }, EVERY);
  signal.addEventListener("abort", () => clearInterval(timer));
  return "Fleet";
}
