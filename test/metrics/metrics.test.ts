/** `metrics`: the values are true, Prometheus can parse them, and their number is bounded. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { edit } from "../support/database.ts";
import { expectFailure } from "../support/expect.ts";
import { type Exposition, parseExposition, valueOf } from "../support/exposition.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { killAndWait, killWorker } from "../support/processes.ts";
import { readRecipeFile } from "../support/recipes.ts";
import { BINARY, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

async function scrape(box: Sandbox, ...words: readonly string[]): Promise<Exposition> {
  const { stdout, stderr, code } = await box.run(["metrics", ...words]);
  expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
  return parseExposition(stdout);
}

/** Like scrape, without a state directory, which stderr mentions. */
async function scrapeNothing(box: Sandbox, ...words: readonly string[]): Promise<Exposition> {
  const { stdout, stderr, code } = await box.run(["metrics", ...words]);
  expect(code).toBe(0);
  expect(stderr).toStartWith(`orchesjob: the state directory ${box.home} does not exist`);
  return parseExposition(stdout);
}

const finish = (box: Sandbox, key: string, ...words: readonly string[]) =>
  box.json(["start", "--run-key", key, "--sync", ...words]);

const jobs = (found: Exposition, status: string) => valueOf(found, "orchesjob_jobs", { status });

/** Inserts rows as a long history would have them; `rows` is what follows `values`. */
function insert(box: Sandbox, columns: string, query: string): void {
  edit(
    box,
    `insert into job_records (command, cwd, host, boot_id, ${columns}) select '["true"]', '/', 'h', 'b', ${query}`,
  );
}

const NUMBERS = (count: number) =>
  `(with recursive n (i) as (select 1 union all select i + 1 from n where i < ${count}) select i from n)`;

describe("a missing state directory", () => {
  test("gives zeros, and makes nothing", async () => {
    await using box = new Sandbox();
    const found = await scrapeNothing(box);
    for (const status of ["STARTING", "RUNNING", "SUCCEEDED", "FAILED", "LOST", "CANCELLED"])
      expect(jobs(found, status)).toBe(0);
    for (const name of ["oldest_active_job_age_seconds", "database_bytes", "database_wal_bytes", "log_bytes"])
      expect(valueOf(found, `orchesjob_${name}`)).toBe(0);
    for (const status of ["SUCCEEDED", "FAILED", "CANCELLED"]) {
      expect(valueOf(found, "orchesjob_job_duration_seconds_count", { status })).toBe(0);
      expect(valueOf(found, "orchesjob_job_duration_seconds_bucket", { status, le: "+Inf" })).toBe(0);
    }
    expect(found.samples.filter(({ labels }) => "run_key" in labels)).toEqual([]);
    await scrapeNothing(box, "--label", "team");
    expect(existsSync(box.home)).toBe(false);
  });

  test("gives zeros also with --label", async () => {
    await using box = new Sandbox();
    expect(jobs(await scrapeNothing(box, "--label", "team"), "RUNNING")).toBe(0);
  });
});

test("counts jobs by status, and says when each run key started and succeeded last", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const before = Date.now() / 1000;
  await finish(box, "good", "true");
  await finish(box, "turned-bad", "true");
  await finish(box, "turned-bad", "false");
  await finish(box, "never", "false");
  await startWaiting(box, "cancelled", gate);
  await box.json(["cancel", "--run-key", "cancelled"]);
  await startWaiting(box, "good", gate);
  const found = await scrape(box);
  const after = Date.now() / 1000;
  expect(
    ["STARTING", "RUNNING", "SUCCEEDED", "FAILED", "LOST", "CANCELLED"].map((status) => jobs(found, status)),
  ).toEqual([0, 1, 2, 2, 0, 1]);
  const ofKeys = (name: string) =>
    Object.fromEntries(
      found.samples
        .filter((sample) => sample.name === `orchesjob_${name}`)
        .map((sample) => [sample.labels["run_key"]!, sample.value]),
    );
  // An active job has no result yet, so the one before counts.
  expect(ofKeys("last_result_success")).toEqual({ good: 1, "turned-bad": 0, never: 0, cancelled: 0 });
  const successes = ofKeys("last_success_timestamp_seconds");
  expect(Object.keys(successes).sort()).toEqual(["good", "turned-bad"]);
  const starts = ofKeys("last_start_timestamp_seconds");
  expect(Object.keys(starts).sort()).toEqual(["cancelled", "good", "never", "turned-bad"]);
  for (const value of [...Object.values(successes), ...Object.values(starts)]) {
    expect(value).toBeGreaterThanOrEqual(before);
    expect(value).toBeLessThanOrEqual(after);
  }
  expect(starts["good"]!).toBeGreaterThan(successes["good"]!);
  const ages = ofKeys("active_job_age_seconds");
  expect(Object.keys(ages)).toEqual(["good"]);
  expect(valueOf(found, "orchesjob_oldest_active_job_age_seconds")).toBe(ages["good"]!);
  expect(ages["good"]!).toBeGreaterThanOrEqual(0);
  expect(ages["good"]!).toBeLessThanOrEqual(after - before);
  expect(valueOf(found, "orchesjob_scrape_timestamp_seconds")).toBeGreaterThanOrEqual(starts["good"]!);
});

test("a job whose worker is dead is not counted as active, even if no command has looked at it before", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  expect(jobs(await scrape(box), "RUNNING")).toBe(1);
  await killWorker(job);
  const found = await scrape(box);
  expect([jobs(found, "RUNNING"), jobs(found, "LOST")]).toEqual([0, 1]);
  expect(valueOf(found, "orchesjob_oldest_active_job_age_seconds")).toBe(0);
  expect(valueOf(found, "orchesjob_last_result_success", { run_key: "k" })).toBe(0);
  await killAndWait(job.target_pid!);
});

test("a dead worker's job is not counted as active even if the loss cannot be recorded", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  await killWorker(job);
  // Like a full disk: reads work, writes fail.
  edit(box, "create trigger frozen before update on job_records begin select raise(abort, 'frozen'); end");
  const found = await scrape(box);
  expect([jobs(found, "RUNNING"), jobs(found, "LOST")]).toEqual([0, 1]);
  edit(box, "drop trigger frozen");
  await killAndWait(job.target_pid!);
});

test("durations are counted in buckets, except those of lost and active jobs", async () => {
  await using box = new Sandbox();
  await finish(box, "first", "true");
  edit(box, "delete from job_records");
  const durations = [-5, 0, 0.1, 0.2, 60, 61, 86_400, 100_000];
  const values = durations
    .map((duration, index) => `(${index + 1}, ${Math.round(duration * 1_000_000)})`)
    .join(", ");
  insert(
    box,
    "job_id, run_key, attempt_no, status, started_at, finished_at",
    `'job-' || column1, 'k', column1, 'SUCCEEDED', 1700000000000000, 1700000000000000 + column2 from (values ${values})`,
  );
  insert(
    box,
    "job_id, run_key, attempt_no, status, started_at, finished_at",
    `'lost-' || i, 'lost', i, 'LOST', 1700000000000000, 1700000005000000 from ${NUMBERS(3)}`,
  );
  const found = await scrape(box);
  const bucket = (le: string) =>
    valueOf(found, "orchesjob_job_duration_seconds_bucket", { status: "SUCCEEDED", le });
  expect(["0.1", "1", "60", "300", "43200", "86400", "+Inf"].map(bucket)).toEqual([3, 4, 5, 6, 6, 7, 8]);
  expect(valueOf(found, "orchesjob_job_duration_seconds_count", { status: "SUCCEEDED" })).toBe(8);
  expect(valueOf(found, "orchesjob_job_duration_seconds_sum", { status: "SUCCEEDED" })).toBeCloseTo(
    186_521.3,
    6,
  );
  expect(
    found.samples.filter(({ name, labels }) => name.includes("duration") && labels["status"] === "LOST"),
  ).toEqual([]);
});

test("times that a Python worker has written are read as meant, and so is a clock that begins in 1970", async () => {
  await using box = new Sandbox();
  await finish(box, "first", "true");
  edit(box, "delete from job_records");
  for (const [key, started, finished, boot] of [
    ["iso", "1700000000000000", "'2023-11-14T22:13:50.500000+00:00'", "null"],
    ["zone", "1700000000000000", "'2023-11-15T07:13:50.500000+09:00'", "null"],
    ["seconds", "1700000000000000", "1700000030", "null"],
    ["own", "1700000000000000", "1700000030500000", "'b'"],
    ["unset clock", "10000000", "40500000", "'b'"],
  ])
    edit(
      box,
      `insert into job_records (job_id, run_key, attempt_no, status, command, cwd, host, started_at, finished_at, boot_id)
       values ('${key}', '${key}', 1, 'SUCCEEDED', '["true"]', '/', 'h', ${started}, ${finished}, ${boot})`,
    );
  const found = await scrape(box);
  const end = (run_key: string) => valueOf(found, "orchesjob_last_success_timestamp_seconds", { run_key });
  expect(["iso", "zone", "seconds", "own", "unset clock"].map(end)).toEqual([
    1700000030.5, 1700000030.5, 1700000030, 1700000030.5, 40.5,
  ]);
  expect(valueOf(found, "orchesjob_job_duration_seconds_sum", { status: "SUCCEEDED" })).toBe(152);
});

test("the log bytes are those of the files", async () => {
  await using box = new Sandbox();
  await finish(box, "k", "sh", "-c", "head -c 12345 /dev/zero; head -c 5 /dev/zero >&2");
  const found = await scrape(box);
  expect(valueOf(found, "orchesjob_log_bytes")).toBe(12_350);
  expect(valueOf(found, "orchesjob_log_files")).toBe(readdirSync(join(box.home, "logs")).length);
  expect(valueOf(found, "orchesjob_database_bytes")).toBe(statSync(join(box.home, "orchesjob.db")).size);
  expect(valueOf(found, "orchesjob_database_wal_bytes")).toBe(
    statSync(join(box.home, "orchesjob.db-wal")).size,
  );
  const without = await scrape(box, "--no-log-bytes");
  expect(valueOf(without, "orchesjob_log_bytes")).toBeUndefined();
  expect(valueOf(without, "orchesjob_database_bytes")).toBeGreaterThan(0);
});

const STRANGE = `a "b" \\ c \\n d {e="f"} 日本 🎉 \u202e'`;

test("run keys and label values appear unchanged, whatever they contain", async () => {
  await using box = new Sandbox();
  const label = `${STRANGE}\n\r\t second line\\`;
  await finish(box, STRANGE, "--label", `team.name/x=${label}`, "true");
  const found = await scrape(box, "--label", "team.name/x");
  expect(
    valueOf(found, "orchesjob_last_result_success", { run_key: STRANGE, label_team_name_x: label }),
  ).toBe(1);
  expect(valueOf(found, "orchesjob_jobs", { status: "SUCCEEDED", label_team_name_x: label })).toBe(1);
});

testWith(["promtool"], "promtool has no complaint", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const check = async (...words: readonly string[]) => {
    const { stdout } = await box.run(["metrics", ...words]);
    const checked = await box.execute(["promtool", "check", "metrics"], { stdin: stdout });
    expect(checked).toMatchObject({ stdout: "", stderr: "", code: 0 });
  };
  await check();
  await finish(box, STRANGE, "--label", `team=${STRANGE}\n`, "true");
  await finish(box, "plain", "false");
  await startWaiting(box, "active", gate);
  await check();
  await check("--label", "team", "--limit", "1");
});

describe("--label", () => {
  test("tells jobs apart by the label's value; jobs without it have none", async () => {
    await using box = new Sandbox();
    await finish(box, "a", "--label", "team=red", "--label", "tier=1", "true");
    await finish(box, "b", "--label", "team=red", "false");
    await finish(box, "c", "true");
    const found = await scrape(box, "--label", "team");
    const count = (labels: Record<string, string>) => valueOf(found, "orchesjob_jobs", labels);
    expect(count({ status: "SUCCEEDED", label_team: "red" })).toBe(1);
    expect(count({ status: "FAILED", label_team: "red" })).toBe(1);
    expect(count({ status: "SUCCEEDED" })).toBe(1);
    expect(
      valueOf(found, "orchesjob_job_duration_seconds_count", { status: "FAILED", label_team: "red" }),
    ).toBe(1);
    const both = await scrape(box, "--label", "team", "--label", "tier", "--label", "team");
    expect(valueOf(both, "orchesjob_jobs", { status: "SUCCEEDED", label_team: "red", label_tier: "1" })).toBe(
      1,
    );
    expect(valueOf(both, "orchesjob_last_result_success", { run_key: "b", label_team: "red" })).toBe(0);
  });

  test("label names that are properties of every JavaScript object work like others", async () => {
    await using box = new Sandbox();
    await finish(box, "none", "true");
    const words = ["__proto__", "constructor", "toString", "hasOwnProperty"].flatMap((name) => [
      "--label",
      name,
    ]);
    expect(jobs(await scrape(box, ...words), "SUCCEEDED")).toBe(1);
    await finish(box, "some", "--label", "__proto__=p", "--label", "constructor=c", "true");
    const found = await scrape(box, ...words);
    const labels = { label___proto__: "p", label_constructor: "c" };
    expect(valueOf(found, "orchesjob_jobs", { status: "SUCCEEDED", ...labels })).toBe(1);
    expect(valueOf(found, "orchesjob_last_result_success", { run_key: "some", ...labels })).toBe(1);
    expect(valueOf(found, "orchesjob_last_result_success", { run_key: "none" })).toBe(1);
    const { stdout } = await box.run(["status", "--run-key", "some"]);
    expect(stdout).toContain('"__proto__": "p",\n    "constructor": "c"');
    const again = await box.run(["rerun", "--run-key", "some", "--sync"]);
    expect(again.stdout).toContain('"__proto__": "p",\n    "constructor": "c"');
  });

  test("labels that somebody edited by hand do not stop the counting", async () => {
    await using box = new Sandbox();
    for (const key of ["a", "b", "c"]) await finish(box, key, "--label", "team=red", "true");
    edit(box, "update job_records set labels = 'no json' where run_key = 'a'");
    edit(box, `update job_records set labels = '{"team": {"x": 1}}' where run_key = 'b'`);
    const found = await scrape(box, "--label", "team");
    expect(jobs(found, "SUCCEEDED")).toBe(2);
    expect(valueOf(found, "orchesjob_jobs", { status: "SUCCEEDED", label_team: "red" })).toBe(1);
  });

  test.each([
    ["a name with a space", ["--label", "a b"], "name of a label"],
    ["a value", ["--label", "team=red"], "name of a label"],
    ["two that would be one", ["--label", "a.b", "--label", "a-b"], "would both be label_a_b"],
    ["eleven", Array.from({ length: 11 }, (_, index) => ["--label", `l${index}`]).flat(), "at most 10"],
    ["no series at all", ["--limit", "0"], "at least 1"],
  ])("%s is refused", async (_, words, message) => {
    await using box = new Sandbox();
    expectFailure(await box.run(["metrics", ...words]), 2, message);
  });
});

describe("--limit", () => {
  test("keeps the run keys that were started last, and says how many it left out", async () => {
    await using box = new Sandbox();
    await finish(box, "old", "true");
    await finish(box, "middle", "true");
    await finish(box, "new", "true");
    await finish(box, "middle", "true");
    const found = await scrape(box, "--limit", "2");
    const keys = found.samples
      .filter(({ name }) => name === "orchesjob_last_result_success")
      .map(({ labels }) => labels["run_key"]);
    expect(keys).toEqual(["middle", "new"]);
    expect(valueOf(found, "orchesjob_series_dropped", { kind: "run_key" })).toBe(1);
    expect(jobs(found, "SUCCEEDED")).toBe(4);
  });

  test("keeps the oldest active jobs", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    for (const key of ["first", "second"]) await startWaiting(box, key, gate);
    const found = await scrape(box, "--limit", "1");
    const active = found.samples.filter(({ name }) => name === "orchesjob_active_job_age_seconds");
    expect(active.map(({ labels }) => labels["run_key"])).toEqual(["first"]);
    expect(valueOf(found, "orchesjob_series_dropped", { kind: "active_job" })).toBe(1);
    expect(jobs(found, "RUNNING")).toBe(2);
  });

  test("adds up what is beyond it as other, and nothing is lost or counted twice", async () => {
    await using box = new Sandbox();
    await finish(box, "first", "true");
    edit(box, "delete from job_records");
    // 300 values, the most frequent first; one of them is the word that stands for the rest.
    insert(
      box,
      "job_id, run_key, attempt_no, status, started_at, finished_at, labels",
      `'job-' || i, 'k' || i, 1, iif(i % 2, 'SUCCEEDED', 'FAILED'), 1, 2000001,
        json_object('team', case when i <= 400 then 'big' when i <= 600 then 'other' else 't' || i end)
       from ${NUMBERS(900)}`,
    );
    const found = await scrape(box, "--label", "team", "--limit", "2");
    const rows = found.samples.filter(({ name }) => name === "orchesjob_jobs");
    expect(rows.map(({ labels, value }) => [labels["status"], labels["label_team"], value]).sort()).toEqual([
      ["FAILED", "big", 200],
      ["FAILED", "other", 250],
      ["SUCCEEDED", "big", 200],
      ["SUCCEEDED", "other", 250],
    ]);
    expect(valueOf(found, "orchesjob_series_dropped", { kind: "label_values" })).toBe(300);
    expect(
      valueOf(found, "orchesjob_job_duration_seconds_bucket", {
        status: "FAILED",
        label_team: "other",
        le: "5",
      }),
    ).toBe(250);
    expect(valueOf(found, "orchesjob_series_dropped", { kind: "run_key" })).toBe(898);
  });

  test("is 1000 by default", async () => {
    await using box = new Sandbox();
    await finish(box, "first", "true");
    insert(
      box,
      "job_id, run_key, attempt_no, status, started_at, finished_at",
      `'job-' || i, 'k' || i, 1, 'SUCCEEDED', 1, 2 from ${NUMBERS(1499)}`,
    );
    const found = await scrape(box);
    const of = (name: string) => found.samples.filter((sample) => sample.name === name).length;
    expect(of("orchesjob_last_start_timestamp_seconds")).toBe(1000);
    expect(valueOf(found, "orchesjob_series_dropped", { kind: "run_key" })).toBe(500);
    expect(jobs(found, "SUCCEEDED")).toBe(1500);
  });
});

test("if the state directory cannot be read there are no metrics, and no false ones", async () => {
  await using box = new Sandbox();
  await finish(box, "k", "true");
  chmodSync(box.home, 0o777);
  expectFailure(await box.run(["metrics"]), 4, "chmod 700");
  chmodSync(box.home, 0o700);
});

test("the recipe's command replaces the file at once, and keeps the old one if there are no metrics", async () => {
  await using box = new Sandbox();
  await finish(box, "k", "true");
  const directory = join(box.directory, "collector");
  mkdirSync(directory);
  const line = /^\* \* \* \* \* root (.*)$/m.exec(readRecipeFile("metrics.cron"))![1]!;
  const command = line
    .replace("/var/lib/prometheus/node-exporter", directory)
    .replace("/usr/local/bin/orchesjob", BINARY);
  const file = join(directory, "orchesjob.prom");
  expect(await box.execute(["sh", "-c", command])).toMatchObject({ code: 0, stderr: "" });
  const written = readFileSync(file, "utf8");
  expect(jobs(parseExposition(written), "SUCCEEDED")).toBe(1);
  chmodSync(box.home, 0o777);
  expect((await box.execute(["sh", "-c", command])).code).toBe(4);
  chmodSync(box.home, 0o700);
  expect(readFileSync(file, "utf8")).toBe(written);
});

test("the recipe's alerts use existing metrics", async () => {
  await using box = new Sandbox();
  await finish(box, "k", "true");
  const { stdout } = await box.run(["metrics"]);
  const asked = [...readRecipeFile("alerts.yml").matchAll(/\borchesjob_\w+/g)].map((match) => match[0]);
  expect(asked.filter((name) => !stdout.includes(`\n# TYPE ${name} `))).toEqual([]);
  expect(asked.length).toBeGreaterThan(4);
});

testWith(["promtool"], "promtool accepts the recipe's alerts", async () => {
  await using box = new Sandbox();
  writeFileSync(join(box.directory, "alerts.yml"), readRecipeFile("alerts.yml"));
  const { code, stdout } = await box.execute(["promtool", "check", "rules", "alerts.yml"]);
  expect(stdout).toContain("SUCCESS: 5 rules found");
  expect(code).toBe(0);
});
