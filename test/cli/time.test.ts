/** Times as orchesjob prints them and as `clean --before` reads them: in the caller's zone, in every form of TZ. */
import { Database } from "bun:sqlite";
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { expectFailure } from "../support/expect.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d$/;

test("started_at and finished_at are ISO 8601 with six decimals and an offset, and are true", async () => {
  await using box = new Sandbox();
  const before = Date.now();
  const job = await box.json(["start", "--run-key", "k", "--sync", "--", "true"], {
    env: { TZ: "Asia/Tokyo" },
  });
  const after = Date.now();
  expect(job.started_at).toMatch(ISO);
  expect(job.finished_at).toMatch(ISO);
  expect(job.started_at).toEndWith("+09:00");
  const started = Date.parse(job.started_at);
  const finished = Date.parse(job.finished_at!);
  expect(started).toBeGreaterThanOrEqual(before);
  expect(finished).toBeGreaterThanOrEqual(started);
  expect(finished).toBeLessThanOrEqual(after);
});

/** A finished job that ended at an instant the test chooses. */
async function finishedAt(box: Sandbox, instant: string): Promise<JobAnswer> {
  const job = await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
  using database = new Database(`${box.home}/orchesjob.db`);
  const micros = Number(Temporal.Instant.from(instant).epochNanoseconds / 1000n);
  database.run("update job_records set finished_at = ?, started_at = ? where job_id = ?", [
    micros,
    micros,
    job.job_id,
  ]);
  return job;
}

async function countBefore(box: Sandbox, before: string, zone = "UTC"): Promise<number> {
  const answer = await box.json<{ deleted: number }>(["clean", "--dry-run", "--before", before], {
    env: { TZ: zone },
  });
  return answer.deleted;
}

const END = "2026-01-15T12:30:15.000500Z";

/** The same instant in zones named in every way that tzset(3) knows. */
const ZONES: readonly [zone: string, printed: string, later: string][] = [
  ["UTC", "2026-01-15T12:30:15.000500+00:00", "2026-01-15T12:30:15.000501"],
  ["", "2026-01-15T12:30:15.000500+00:00", "2026-01-15T12:30:15.000501"],
  ["Asia/Tokyo", "2026-01-15T21:30:15.000500+09:00", "2026-01-15 21:30:15.000501"],
  [":Asia/Tokyo", "2026-01-15T21:30:15.000500+09:00", "2026-01-15 21:30:15.000501"],
  ["Asia/Kolkata", "2026-01-15T18:00:15.000500+05:30", "2026-01-15T18:00:15.000501"],
  ["America/St_Johns", "2026-01-15T09:00:15.000500-03:30", "2026-01-15T09:00:15.000501"],
  ["JST-9", "2026-01-15T21:30:15.000500+09:00", "2026-01-15T21:30:15.000501"],
  ["<+0545>-5:45", "2026-01-15T18:15:15.000500+05:45", "2026-01-15T18:15:15.000501"],
  ["EST5EDT,M3.2.0,M11.1.0", "2026-01-15T07:30:15.000500-05:00", "2026-01-15T07:30:15.000501"],
];

describe("one instant in many zones", () => {
  test.each(ZONES)("TZ=%s", async (zone, printed, later) => {
    await using box = new Sandbox();
    await finishedAt(box, END);
    const job = await box.json(["status", "--run-key", "k"], { env: { TZ: zone } });
    expect(job.finished_at).toBe(printed);
    // Without an offset it is local time, to the microsecond: a job that ended at that time did not end before it.
    expect(await countBefore(box, printed.slice(0, 26), zone)).toBe(0);
    expect(await countBefore(box, later, zone)).toBe(1);
    // With an offset the zone does not matter.
    expect(await countBefore(box, printed, "Pacific/Auckland")).toBe(0);
    expect(await countBefore(box, later.replace(" ", "T") + printed.slice(26), "Pacific/Auckland")).toBe(1);
  });
});

test("the offset is that of the printed instant, not today's", async () => {
  await using box = new Sandbox();
  const env = { TZ: "Europe/Berlin" };
  for (const [instant, printed, earlier] of [
    ["2026-01-15T12:00:00Z", "2026-01-15T13:00:00.000000+01:00", 0],
    ["2026-07-15T12:00:00Z", "2026-07-15T14:00:00.000000+02:00", 1],
  ] as const) {
    await finishedAt(box, instant);
    expect((await box.json(["status", "--run-key", "k"], { env })).finished_at).toBe(printed);
    expect(await countBefore(box, printed.slice(0, 19), env.TZ)).toBe(earlier);
  }
});

const FORMS: readonly [form: string, zone: string, count: number][] = [
  ["2026-01-16", "UTC", 1],
  ["2026-01-15", "UTC", 0],
  ["2026-01-16", "Etc/GMT+12", 1],
  ["2026-01-15", "Pacific/Kiritimati", 0],
  ["2026-01-15T12:30", "UTC", 0],
  ["2026-01-15 12:31", "UTC", 1],
  ["2026-01-15T12:30:16", "UTC", 1],
  ["2026-01-15T12:30:16Z", "Asia/Tokyo", 1],
  ["2026-01-15 12:30:15Z", "Asia/Tokyo", 0],
  ["2026-01-15T21:30+09:00", "UTC", 0],
  ["2026-01-15T21:31+09:00", "UTC", 1],
  ["2026-01-15T21:31+0900", "UTC", 1],
  ["2026-01-15T07:31-05:00", "UTC", 1],
  // `date -Ihours`, `date -Ins`
  ["2026-01-15T21+09:00", "UTC", 0],
  ["2026-01-15T22+09:00", "UTC", 1],
  ["2026-01-15T07-05:00", "UTC", 0],
  ["2026-01-15T21:30:15,000500999+09:00", "UTC", 0],
  ["2026-01-15T21:30:15,000501000+09:00", "UTC", 1],
  ["20260116", "UTC", 1],
  ["20260115", "UTC", 0],
  ["20260115T1230", "UTC", 0],
  ["20260115T123016", "UTC", 1],
  ["20260115T213015,000501+0900", "UTC", 1],
  ["2026-W03-4", "UTC", 0],
  ["2026W035", "UTC", 1],
  ["2026-W03", "UTC", 0],
  ["2026-W04T00:00Z", "Asia/Tokyo", 1],
  // `git log --date=iso`
  ["2026-01-15 21:30:16 +0900", "UTC", 1],
];

test.each(FORMS)("clean --before %j with TZ=%s finds %d of 1", async (form, zone, count) => {
  await using box = new Sandbox();
  await finishedAt(box, END);
  expect(await countBefore(box, form, zone)).toBe(count);
});

/** What a time means if its hour comes twice, or never. */
const CHANGES: readonly [what: string, zone: string, text: string, instant: string][] = [
  ["set back: the first", "Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30:00Z"],
  ["set back: its last moment", "Europe/Berlin", "2026-10-25T02:59:59.999999", "2026-10-25T00:59:59.999999Z"],
  ["set back: after it", "Europe/Berlin", "2026-10-25T03:00", "2026-10-25T02:00:00Z"],
  ["set back: the second, by its offset", "Europe/Berlin", "2026-10-25T02:30+01", "2026-10-25T01:30:00Z"],
  ["set forward: the moment of it", "Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:00:00Z"],
  ["set forward: just before", "Europe/Berlin", "2026-03-29T01:59:59", "2026-03-29T00:59:59Z"],
  ["set forward: just after", "Europe/Berlin", "2026-03-29T03:00", "2026-03-29T01:00:00Z"],
  ["a rule in TZ", "EST5EDT,M3.2.0,M11.1.0", "2026-11-01T01:30", "2026-11-01T05:30:00Z"],
  ["a rule in TZ, forward", "EST5EDT,M3.2.0,M11.1.0", "2026-03-08T02:01", "2026-03-08T07:00:00Z"],
  ["half an hour", "Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-04T14:45:00Z"],
  ["standard time itself set back", "Asia/Pyongyang", "2015-08-14T23:45", "2015-08-14T14:45:00Z"],
  ["winter time is the other one", "Europe/Dublin", "2026-10-25T01:30", "2026-10-25T00:30:00Z"],
  ["a day that never was", "Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00:00Z"],
  ["before 1970", "Europe/Berlin", "1949-10-02T02:30", "1949-10-02T00:30:00Z"],
];

test.each(CHANGES)("a time at a clock change: %s", async (_, TZ, text, instant) => {
  await using box = new Sandbox();
  const job = await finishedAt(box, instant);
  const found = async (...words: string[]) =>
    (await box.json<unknown[]>(["list", ...words], { env: { TZ } })).length;
  expect(await countBefore(box, text, TZ)).toBe(0);
  expect(await found("--since", text)).toBe(1);
  using database = new Database(`${box.home}/orchesjob.db`);
  database.run("update job_records set finished_at = finished_at - 1, started_at = started_at - 1");
  expect(await countBefore(box, text, TZ)).toBe(1);
  expect(await found("--since", text)).toBe(0);
  expect(await found("--until", text)).toBe(1);
  expect(job.status).toBe("SUCCEEDED");
});

test("a duration where a time is wanted means that long ago", async () => {
  await using box = new Sandbox();
  const ago = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();
  await finishedAt(box, ago(3));
  expect([await countBefore(box, "2h30m"), await countBefore(box, "3h30m")]).toEqual([1, 0]);
  const found = async (...words: string[]) => (await box.json<unknown[]>(["list", ...words])).length;
  expect([await found("--since", "2h"), await found("--since", "4h")]).toEqual([0, 1]);
  expect([await found("--until", "2h"), await found("--until", "4h")]).toEqual([1, 0]);
});

const NO_TIMES = [
  "yesterday",
  "2026-13-01",
  "2026-02-30",
  "2026-01-01T25:00",
  "2026-01-01T10:00:00[Asia/Tokyo]",
  "2026-01-01Z",
  "12:00",
  "1767225600",
  "2026-01",
  "2026-W54",
  "2026-W01-0",
  "2026-01-15T",
  "2026-01-15T12.5",
  "2026-01-15T24:00",
  "2026-01-15T12:00+24:00",
  "2026-01-01; rm",
];

test.each(NO_TIMES)("clean --before %j is refused", async (text) => {
  await using box = new Sandbox();
  expectFailure(await box.run(["clean", "--before", text]), 2, "is not a date or time");
});
