/** clean of some jobs only: by run key, id, label, status or time, as people and scripts of the Python 1.1 ask for it. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { edit, openDatabase } from "../support/database.ts";
import { expectFailure } from "../support/expect.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { killWorker } from "../support/processes.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

interface Item {
  readonly job_id: string;
  readonly run_key: string;
  readonly status: string;
  readonly selected_at: number;
  readonly selected_at_iso: string;
}

interface Cleaned {
  readonly deleted: number;
  readonly dry_run: boolean;
  readonly items: readonly Item[];
  readonly items_omitted: number;
}

async function runJob(box: Sandbox, key: string, ...options: readonly string[]): Promise<JobAnswer> {
  const words = options.includes("--") ? options : [...options, "--", "true"];
  return box.json(["start", "--run-key", key, "--sync", ...words]);
}

const clean = (box: Sandbox, ...words: readonly string[]) => box.json<Cleaned>(["clean", ...words]);

/** The keys of the jobs that are left, oldest first. */
function left(box: Sandbox): string[] {
  using database = openDatabase(box);
  return database
    .query<{ run_key: string }, []>("select run_key from jobs order by seq")
    .all()
    .map(({ run_key }) => run_key);
}

test("a run key, as a word or an option, stands for all its finished jobs, and no other key", async () => {
  await using box = new Sandbox();
  for (const key of ["a", "b", "a", "c", "d"]) await runJob(box, key);
  expect(await clean(box, "a", "b", "--dry-run")).toMatchObject({ deleted: 3, dry_run: true });
  expect(left(box)).toHaveLength(5);
  expect(await clean(box, "a")).toMatchObject({ deleted: 2, dry_run: false });
  expect(await clean(box, "-k", "b", "--run-key", "c", "--all")).toMatchObject({ deleted: 2 });
  expect(left(box)).toEqual(["d"]);
  expect(readdirSync(`${box.home}/logs`)).toHaveLength(2);
});

test("KEY#N is that job alone, and --keep leaves the newest of the key", async () => {
  await using box = new Sandbox();
  for (const key of ["a", "a", "a", "a", "b", "b"]) await runJob(box, key);
  expect((await clean(box, "a#2")).items).toMatchObject([{ run_key: "a" }]);
  using database = openDatabase(box);
  const attempts = () =>
    database.query("select attempt_no from jobs where run_key = 'a' order by seq").values().flat();
  expect(attempts()).toEqual([1, 3, 4]);
  expect(await clean(box, "a", "--keep", "1")).toMatchObject({ deleted: 2 });
  expect(attempts()).toEqual([4]);
  expect(left(box)).toEqual(["a", "b", "b"]);
});

test("--job-id deletes one job; what is active or not there is said, and is no error", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const [first, second] = [await runJob(box, "a"), await runJob(box, "a")];
  const active = await startWaiting(box, "active", gate);
  const answer = await clean(box, "--job-id", first.job_id);
  const at = Date.parse(first.finished_at!);
  expect(answer).toMatchObject({ deleted: 1, items_omitted: 0 });
  expect(answer.items).toEqual([
    {
      ...{ job_id: first.job_id, run_key: "a", status: "SUCCEEDED" },
      ...{ selected_at: Math.floor(at / 1000), selected_at_iso: first.finished_at! },
    },
  ]);
  expect(existsSync(first.stdout_file)).toBe(false);
  expect(existsSync(second.stdout_file)).toBe(true);
  const again = await box.run(["clean", "--job-id", first.job_id]);
  expect(JSON.parse(again.stdout)).toMatchObject({ deleted: 0, items: [] });
  expect(again.stderr).toContain(`nothing to delete: no job "${first.job_id}" in ${box.home}`);
  const busy = await box.run(["clean", "--job-id", active.job_id]);
  expect(JSON.parse(busy.stdout)).toMatchObject({ deleted: 0, items: [] });
  expect(busy.stderr).toContain(`job ${active.job_id} is kept: it is RUNNING`);
  const mistyped = await box.run(["clean", "acttive"]);
  expect(mistyped).toMatchObject({ code: 0 });
  expect(mistyped.stderr).toContain('no run key or job id "acttive"');
});

test("--status and --label, alone and together with each other, a key and a time", async () => {
  await using box = new Sandbox();
  const failing = ["--", "sh", "-c", "exit 3"];
  await runJob(box, "a", "--label", "batch=n1");
  await runJob(box, "b", "--label", "batch=n1", ...failing);
  await runJob(box, "c", "--label", "batch=n2", ...failing);
  await runJob(box, "d", ...failing);
  const dry = await box.run(["clean", "--label", "batch=n1", "--dry-run"]);
  expect(JSON.parse(dry.stdout)).toMatchObject({ deleted: 2, items: [{ run_key: "a" }, { run_key: "b" }] });
  expect(dry.stderr).toMatch(/^orchesjob: Would delete job \S+ \(a, SUCCEEDED\)\n.* \(b, FAILED\)\n$/);
  expect(await clean(box, "--label", "batch=n1", "--status", "failed")).toMatchObject({ deleted: 1 });
  expect(await clean(box, "c", "d", "--label", "batch=n2", "--older-than", "1h")).toMatchObject({
    deleted: 0,
  });
  expect(await clean(box, "c", "d", "--label", "batch=n2")).toMatchObject({ deleted: 1 });
  expect(left(box)).toEqual(["a", "d"]);
  expect(await clean(box, "--status", "failed", "--status", "lost")).toMatchObject({ deleted: 1 });
  expect(left(box)).toEqual(["a"]);
});

test("--status lost finds losses that no command has recorded yet", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const lost = await startWaiting(box, "k", gate);
  await killWorker(lost);
  const kept = await box.run(["clean", "--status", "lost"]);
  expect(kept.stderr).toContain(`job ${lost.job_id} is kept: its command still runs`);
  await box.run(["cancel", "--job-id", lost.job_id]);
  expect(await clean(box, "--status", "lost")).toMatchObject({ deleted: 1, items: [{ status: "LOST" }] });
});

test("--after takes what ended at that time or later; with --before it is a range", async () => {
  await using box = new Sandbox();
  for (const [day, key] of ["a", "b", "c", "d"].entries()) {
    await runJob(box, key);
    edit(
      box,
      `update job_records set finished_at = unixepoch('2026-01-0${day + 1}') * 1000000 where run_key = '${key}'`,
    );
  }
  const range = ["--after", "2026-01-02T00:00:00Z", "--before", "2026-01-03T00:00:00Z"];
  expect((await clean(box, ...range)).items).toMatchObject([{ run_key: "b", selected_at: 1767312000 }]);
  expect(await clean(box, "--after", "2026-01-03T00:00:00.000001Z", "--run-key", "c")).toMatchObject({
    deleted: 0,
  });
  expect((await clean(box, "--after", "2026-01-03T00:00:00Z")).items.map(({ run_key: key }) => key)).toEqual([
    "c",
    "d",
  ]);
  expect(await clean(box, "--all")).toMatchObject({ deleted: 1 });
  expect(left(box)).toEqual([]);
});

/** What a clean deletes of a1, a2, a3, b1 and b2, which ended in this order, a day each from 2026-01-01 on. */
const BEFORE = ["--before", "2026-01-04T00:00:00Z"];
const AFTER = ["--after", "2026-01-02T00:00:00Z"];
const COMBINATIONS: readonly (readonly [words: readonly string[], deleted: string])[] = [
  [["--all"], "a1 a2 a3 b1 b2"],
  [["--all", ...BEFORE], "a1 a2 a3"],
  [["--all", ...AFTER], "a2 a3 b1 b2"],
  [["--all", ...BEFORE, ...AFTER], "a2 a3"],
  [["--all", "--before", "2026-01-02T00:00:00Z", "--after", "2026-01-04T00:00:00Z"], ""],
  [["--all", "--older-than", "1d"], "a1 a2 a3 b1 b2"],
  [["--all", "--older-than", "30000d"], ""],
  [["--all", ...BEFORE, "--older-than", "1d"], "a1 a2 a3"],
  [["--all", "--keep", "1"], "a1 a2 b1"],
  [["--all", "--keep", "1", ...AFTER], "a2 b1"],
  [["--all", "--max-log-bytes", "3"], "a1 a2"],
  [["--all", "--status", "failed"], "a2 b1"],
  [["--all", "--label", "x=1"], "a1 b1"],
  [["--all", "-k", "a"], "a1 a2 a3"],
  [["a", ...BEFORE], "a1 a2 a3"],
  [["a", ...AFTER], "a2 a3"],
  [["a", "--older-than", "30000d"], ""],
  [["-k", "a", "-k", "b", ...BEFORE, ...AFTER], "a2 a3"],
  [["b", "--keep", "1", ...AFTER], "b1"],
  [["a", "--max-log-bytes", "4"], "a1"],
  [["--job-id", "a1"], "a1"],
  [["--job-id", "a1", "--job-id", "b2", "--all"], "a1 b2"],
  [["--job-id", "a1", "--job-id", "b2", ...BEFORE], "a1"],
  [["--job-id", "a1", "--job-id", "b2", ...AFTER], "b2"],
  [["--job-id", "a1", "--job-id", "b2", ...AFTER, ...BEFORE], ""],
  [["--job-id", "a1", "--job-id", "b2", "--older-than", "1d"], "a1 b2"],
  [["--job-id", "a1", "--job-id", "b2", "--keep", "1"], "a1"],
  [["--job-id", "a1", "--job-id", "b2", "--status", "succeeded", "--label", "x=1"], "a1"],
  [["--job-id", "a1", "--job-id", "b2", "--max-log-bytes", "4"], "a1"],
  [["--job-id", "a1", "--job-id", "b2", "a"], "a1"],
  [["--job-id", "a1", "--job-id", "b2", "a#2", "b#2", ...BEFORE, "--all"], ""],
  [["--job-id", "a1", "--job-id", "b2", "-k", "b", "a#1"], "a1 b2"],
  [["--job-id", "a1", "-k", "b", "--all"], ""],
];

test("limits may be combined as the Python 1.1 has it: each of them narrows what is deleted", async () => {
  await using box = new Sandbox();
  const names = new Map<string, string>();
  const history = [["a"], ["a", "x=2", "exit 3"], ["a"], ["b", "x=1", "exit 3"], ["b", "y=1"]] as const;
  for (const [day, [key, label = "x=1", end = "true"]] of history.entries()) {
    const script = ["--label", label, "--", "sh", "-c", `printf 1; ${end}`];
    const { job_id: id, attempt_no: number } = await runJob(box, key, ...script);
    const set = `finished_at = unixepoch('2026-01-0${day + 1}') * 1000000`;
    edit(box, `update job_records set ${set}${day === 2 ? ", labels = null" : ""} where job_id = '${id}'`);
    names.set(`${key}${number}`, id);
  }
  const nameOf = (id: string) => [...names].find(([, jobId]) => jobId === id)![0];
  for (const [words, deleted] of COMBINATIONS) {
    const answer = await clean(box, ...words.map((word) => names.get(word) ?? word), "--dry-run");
    const chosen = answer.items.map((item) => nameOf(item.job_id)).join(" ");
    expect(`${words.join(" ")}: ${chosen}`).toBe(`${words.join(" ")}: ${deleted}`);
  }
  const other = await box.run(["clean", "--job-id", names.get("a1")!, "b"]);
  expect(other.stderr).toMatch(
    /^orchesjob: job \S+ is kept: it is of run key "a", which is none of those given\n$/,
  );
  expect(await clean(box, "--all", ...AFTER, ...BEFORE)).toMatchObject({ deleted: 2 });
  expect(left(box)).toEqual(["a", "b", "b"]);
});

test("only a clean of all jobs also deletes files that belong to none", async () => {
  await using box = new Sandbox();
  for (const key of ["a", "b", "c"]) await runJob(box, key, "--", "echo", "12345");
  const stray = `${box.home}/logs/01a20fd5-733f-7698-861e-48a659795e65.stdout`;
  writeFileSync(stray, "old");
  utimesSync(stray, 1_000_000_000, 1_000_000_000);
  for (const words of [
    ["a"],
    ["--status", "failed"],
    ["--after", "2999-01-01"],
    ["b", "--max-log-bytes", "1"],
  ])
    expect<object>(await clean(box, ...words, "--before", "2999-01-01")).toMatchObject({ stray_files: 0 });
  expect(existsSync(stray)).toBe(true);
  expect(left(box)).toEqual(["c"]);
  expect<object>(await clean(box, "--all")).toMatchObject({ deleted: 1, stray_files: 1 });
  expect(readdirSync(`${box.home}/logs`)).toEqual([]);
});

test("a thousand jobs are listed in the answer, and the others counted", async () => {
  await using box = new Sandbox();
  await runJob(box, "k");
  edit(
    box,
    `with recursive number(n) as (select 1 union all select n + 1 from number where n < 1200)
     insert into job_records (job_id, run_key, attempt_no, status, command, cwd, started_at, finished_at, host)
     select 'old-' || n, 'key ' || n, 1, 'SUCCEEDED', '["true"]', '/', n * 1000000, n * 1000000, '' from number`,
  );
  const answer = await clean(box, "--before", "2026-01-01");
  expect(answer).toMatchObject({ deleted: 1200, items_omitted: 200 });
  expect(answer.items).toHaveLength(1000);
  expect(answer.items[0]).toMatchObject({ job_id: "old-1", selected_at: 1 });
});

test.each([
  [[], /clean needs a limit: .*--all/],
  [["--job-id", "x", "--before", "never"], /--before.*"never"/],
  [["--after", "soon"], /--after.*"soon"/],
  [["--status", "broken"], /--status must be .*"broken"/],
  [["--label", "batch"], /--label must be NAME=VALUE.*"batch"/],
  [["--run-key", ""], /run key is empty/],
  [[""], /run key is empty/],
  [["--fleet", "a"], /--fleet cannot be combined with a run key/],
  [["--fleet", "--all", "--job-id", "x"], /--fleet cannot be combined with --job-id/],
  [["--fleet", "--keep", "1", "--status", "failed"], /--fleet cannot be combined with --status/],
] as const)("clean %j is refused, and deletes nothing", async (words, message) => {
  await using box = new Sandbox();
  await runJob(box, "a");
  expectFailure(await box.run(["clean", ...words]), 2, message);
  expect(left(box)).toEqual(["a"]);
});
