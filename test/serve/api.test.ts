/** The JSON API of `serve`: the same JSON as the commands print, figures, logs in portions, events; and it changes nothing. */
import { expect, setDefaultTimeout, test } from "bun:test";
import {
  appendFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dump, makeOlderDatabase, openDatabase } from "../support/database.ts";
import { expectFailure } from "../support/expect.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { killWorker } from "../support/processes.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { Server } from "../support/serve.ts";

setDefaultTimeout(TIMEOUT_MS);

const start = (box: Sandbox, key: string, script: string, ...options: string[]) =>
  box.json(["start", "--sync", "--run-key", key, ...options, "--", "sh", "-c", script]);

test("jobs are those of list and status, with its filters, in portions", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await start(box, "a/b c", "echo one", "--label", "team=x", "--label", "kind=full");
  await start(box, "other", "exit 3", "--label", "team=x");
  const failed = await start(box, "a/b c", "exit 4");
  await startWaiting(box, "live", gate);
  await using server = await Server.start(box);

  const still = (jobs: readonly JobAnswer[]) => jobs.map((job) => ({ ...job, quiet_seconds: null }));
  const jobs = await server.json("/api/jobs", "list");
  expect(still(jobs)).toEqual(still(await box.json<JobAnswer[]>(["list"])));
  expect(await server.json(`/api/jobs/${failed.job_id}`, "job")).toEqual(
    await box.json(["status", "--job-id", failed.job_id]),
  );
  const keys = async (query: string) =>
    ((await server.json(`/api/jobs?${query}`)) as JobAnswer[]).map(
      (job) => `${job.run_key} ${job.attempt_no}`,
    );
  expect(await keys("key=a%2Fb+c")).toEqual(["a/b c 2", "a/b c 1"]);
  expect(await keys("prefix=a/")).toEqual(["a/b c 2", "a/b c 1"]);
  expect(await keys("label=team=x")).toEqual(["other 1", "a/b c 1"]);
  expect(await keys("label=team=x&label=kind=full")).toEqual(["a/b c 1"]);
  expect(await keys("status=failed&status=lost")).toEqual(["a/b c 2", "other 1"]);
  expect(await keys("active=1")).toEqual(["live 1"]);
  expect(await keys("until=2020-01-01")).toEqual([]);
  expect(await keys("since=1h&limit=1")).toEqual(["live 1"]);

  const seen: string[] = [];
  for (let path: string | undefined = "/api/jobs?limit=3"; path !== undefined;) {
    const response: Response = await server.fetch(path);
    seen.push(...((await response.json()) as JobAnswer[]).map((job) => job.job_id));
    path = /^<(.+)>; rel="next"$/.exec(response.headers.get("link") ?? "")?.[1];
  }
  expect(seen).toEqual((jobs as JobAnswer[]).map((job) => job.job_id));

  const refused = async (path: string, status: number, message: string) => {
    const response = await server.fetch(path);
    expect([path, response.status]).toEqual([path, status]);
    expect(((await response.json()) as { error: { message: string } }).error.message).toContain(message);
  };
  await refused("/api/jobs?staus=FAILED", 400, 'no parameter "staus" here; there are: key, prefix');
  await refused("/api/jobs?status=DONE", 400, "--status must be STARTING, RUNNING");
  await refused("/api/jobs?limit=0", 400, "limit must be a whole number of at least 1");
  await refused("/api/jobs?limit=1&limit=2", 400, "limit is given 2 times");
  await refused("/api/jobs?since=soon", 400, '"soon" is not a date or time');
  await refused("/api/jobs?active=yes", 400, 'active must be 1, not "yes"');
  await refused("/api/jobs?label=team", 400, "--label must be NAME=VALUE");
  await refused(`/api/jobs/${failed.job_id}x`, 404, "there is no job");
  await refused(`/api/jobs/${failed.job_id}/stdout?from=x`, 400, "from must be an offset");
  await refused(`/api/jobs/${failed.job_id}/stdout/search`, 400, "q must be a text of 1 to 256 bytes");
  await refused("/api/keys/none", 404, 'no job of run key "none"');
  await refused("/api/fleet", 404, "is in no fleet");
  await refused("/api/jobs?fleet=1", 404, "is in no fleet");
  await refused("/api/jobs?fleet=2", 400, 'fleet must be 1, not "2"');
  await refused("/api/jobs?fleet=1&before=3", 400, "fleet and before cannot be combined");
  await refused("/api/timeline?from=2026-01-02&to=2026-01-01", 400, "from must be before to");
  for (const path of [
    "/api",
    "/api/",
    "/api/nothing",
    "/api/jobs/x/y",
    "/api/keys/a/b",
    "/nothing",
    "/assets/",
  ])
    await refused(path, 404, "");
});

test("figures: overview, timeline and keys know what is usual", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  for (const code of [0, 0, 0, 0, 0, 1]) await start(box, "nightly", `exit ${code}`);
  await start(box, "once", "true");
  const live = await startWaiting(box, "nightly", gate);
  await using server = await Server.start(box);
  const overview = await server.json("/api/overview", "api_overview");
  expect(overview).toMatchObject({
    state_directory: box.home,
    in_fleet: false,
    active: 1,
    stalled: 0,
    jobs: [{ job_id: live.job_id, run_key: "nightly" }],
    last_24_hours: { ended: 7, succeeded: 6, failed: 1, lost: 0, cancelled: 0, success_rate: 6 / 7 },
    usual_24_hours: { ended: 0, success_rate: null },
    usual_days: 0,
  });
  await until("it takes longer than usual", async () => (await server.json("/api/overview")).slow === 1);

  const timeline = await server.json("/api/timeline", "api_timeline");
  expect(timeline.keys).toEqual(["nightly", "once"]);
  expect(timeline.runs).toHaveLength(8);
  expect(timeline.runs[0]).toMatchObject({
    key: 0,
    job_id: live.job_id,
    status: "RUNNING",
    finished_ms: null,
  });
  expect((await server.json("/api/timeline?key=once", "api_timeline")).runs).toHaveLength(1);
  expect(await server.json("/api/timeline?limit=3", "api_timeline")).toMatchObject({ is_cut: true });
  expect((await server.json("/api/timeline?from=2020-01-01&to=2020-01-02", "api_timeline")).runs).toEqual([]);

  const first = await server.json("/api/keys?limit=1", "api_keys");
  expect(first).toMatchObject({
    keys: [
      {
        run_key: "nightly",
        attempt_no: 7,
        runs: 6,
        succeeded: 5,
        success_rate: 5 / 6,
        last: { status: "RUNNING" },
      },
    ],
    next: "nightly",
  });
  const rest = await server.json("/api/keys?after=nightly", "api_keys");
  expect([rest.keys.length, rest.keys[0].run_key, rest.next]).toEqual([1, "once", null]);

  const key = await server.json("/api/keys/nightly?days=2", "api_key");
  expect(key.job.job_id).toBe(live.job_id);
  expect(key.runs.map((run: any) => run.status)).toEqual([
    "RUNNING",
    "FAILED",
    ...Array(5).fill("SUCCEEDED"),
  ]);
  expect(key.usual).toMatchObject({ runs: 6, succeeded: 5 });
  expect(key.usual.median_seconds).toBeLessThanOrEqual(key.usual.p95_seconds);
  // It may be just after midnight.
  expect(key.days.map((day: any) => day.ended).reduce((a: number, b: number) => a + b)).toBe(6);
});

test("a log comes in portions, is searched, and is nothing but the log", async () => {
  await using box = new Sandbox();
  const text = `${"x".repeat(70_000)}\n<script>alert(1)</script> wanted\n${"y".repeat(200_000)} wanted\nwant`;
  const job = await start(box, "log", "true");
  writeFileSync(job.stdout_file, text);
  await using server = await Server.start(box);
  const path = `/api/jobs/${job.job_id}/stdout`;
  const part = async (query: string) => {
    const response = await server.fetch(path + query);
    const header = (name: string) => Number(response.headers.get(`x-orchesjob-${name}`));
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    return [await response.text(), header("from"), header("next"), header("size")];
  };
  const size = text.length;
  expect(await part("")).toEqual([text, 0, size, size]);
  expect(await part("?from=69999&max=9")).toEqual(["x\n<script", 69_999, 70_008, size]);
  expect(await part("?from=-4")).toEqual(["want", size - 4, size, size]);
  expect(await part("?from=-999999&max=1")).toEqual(["x", 0, 1, size]);
  expect(await part(`?from=${size + 5}`)).toEqual(["", size + 5, size + 5, size]);
  // No file can have so many bytes, so the kernel refuses to seek there.
  expect(await part("?from=999999999999999")).toEqual(["", 999_999_999_999_999, 999_999_999_999_999, size]);
  expect((await server.fetch(path, { method: "HEAD" })).headers.get("content-length")).toBe(String(size));

  const first = await server.json(`${path}/search?q=wanted&limit=1`, "api_search");
  expect(first.matches).toEqual([{ at: 70_027, line_at: 70_001, line: "<script>alert(1)</script> wanted" }]);
  const second = await server.json(`${path}/search?q=wanted&from=${first.next}`, "api_search");
  expect(second).toMatchObject({ next: null, size, matches: [{ at: 270_035 }] });
  expect(second.matches[0].line).toMatch(/^y+ wanted$/);
  // What begins in one chunk and ends in the next.
  truncateSync(job.stdout_file, 0);
  writeFileSync(job.stdout_file, `${"z".repeat(262_141)}wanted`);
  expect((await server.json(`${path}/search?q=wanted`)).matches).toMatchObject([{ at: 262_141 }]);

  const refused = async (message: string) => {
    for (const each of [path, `${path}/search?q=x`]) {
      const response = await server.fetch(each);
      expect(response.status).toBe(409);
      expect(await response.text()).toContain(message);
    }
  };
  renameSync(job.stdout_file, `${box.directory}/elsewhere`);
  await refused("is gone");
  symlinkSync("/etc/passwd", job.stdout_file);
  await refused("something else was put in its place");
  rmSync(job.stdout_file);
  Bun.spawnSync(["mkfifo", job.stdout_file]);
  await refused("something else was put in its place");
});

test("events tell of one job until its end, and of all jobs", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "live", gate, "echo done");
  await using server = await Server.start(box);
  const all = server.events("/api/events");
  expect((await all.next()).value).toMatchObject({ event: "ready" });
  const seen: string[] = [];
  for await (const { event, data } of server.events(`/api/jobs/${job.job_id}/events`)) {
    const what = event === "job" ? data.status : event === "log" ? `${data.stdout}/${data.stderr}` : "";
    seen.push(`${event} ${what}`);
    if (seen.length === 2) appendFileSync(job.stdout_file, "first\n");
    if (seen.length === 3) gate.open();
  }
  expect(seen.slice(0, 3)).toEqual(["job RUNNING", "log 0/0", "log 6/0"]);
  expect(seen.slice(-3)).toEqual(["job SUCCEEDED", "log 11/0", "end "]);
  expect((await all.next()).value).toMatchObject({
    event: "ended",
    data: { job_id: job.job_id, status: "SUCCEEDED" },
  });
  const next = await start(box, "quick", "true");
  expect((await all.next()).value).toMatchObject({ event: "started", data: { job_id: next.job_id } });
  expect((await all.next()).value).toMatchObject({
    event: "ended",
    data: { job_id: next.job_id, status: "SUCCEEDED" },
  });
  // After clean, positions begin anew.
  await box.json(["clean", "--keep", "0"]);
  expect((await all.next()).value).toMatchObject({ event: "ready" });
  const again = await start(box, "again", "true");
  expect((await all.next()).value).toMatchObject({ event: "started", data: { job_id: again.job_id } });
  await all.return(undefined);
});

test("it shows what is true and changes nothing: a lost job is LOST, and stays RUNNING in the database", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  await using server = await Server.start(box);
  const events = server.events(`/api/jobs/${job.job_id}/events`);
  expect((await events.next()).value).toMatchObject({ data: { status: "RUNNING" } });
  await killWorker(job);
  expect(await server.json(`/api/jobs/${job.job_id}`)).toMatchObject({
    status: "LOST",
    lost_reason: "worker_killed",
    orphan_pids: [job.target_pid],
  });
  expect((await server.json("/api/jobs?active=1")).length).toBe(0);
  expect((await server.json("/api/overview")).active).toBe(0);
  expect((await server.json("/api/keys")).keys[0].last.status).toBe("LOST");
  // The database has not changed, so the stream must have looked at the worker.
  for await (const { event, data } of events)
    if (event === "job") {
      expect(data.status).toBe("LOST");
      break;
    }
  using database = openDatabase(box);
  expect(database.query("select status from job_records").all()).toEqual([{ status: "RUNNING" }]);
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});

test("a database of an older version is not touched", async () => {
  await using box = new Sandbox();
  makeOlderDatabase(box).close();
  const before = dump(box);
  expectFailure(
    await box.run(["serve", "--listen", "127.0.0.1:0"]),
    4,
    "was written by an older version, and must be upgraded first; any other command does that, for example: orchesjob list",
  );
  expect(dump(box)).toEqual(before);
  await box.run(["list"]);
  await using server = await Server.start(box);
  expect(await server.json("/api/jobs")).toEqual([]);
});

test("there may be no database yet, and it may be replaced by another", async () => {
  await using box = new Sandbox();
  await using server = await Server.start(box);
  expect(await server.json("/api/jobs", "list")).toEqual([]);
  expect(await server.json("/api/overview", "api_overview")).toMatchObject({ active: 0 });
  expect(await server.json("/api/keys", "api_keys")).toEqual({ keys: [], next: null });
  expect(() => statSync(box.home)).toThrow();
  const old = await start(box, "old", "true");
  expect(await server.json("/api/jobs")).toMatchObject([{ job_id: old.job_id }]);
  await box.execute(["sh", "-c", `mv ${box.home} ${box.home}.old`]);
  const next = await start(box, "new", "true");
  expect(await server.json("/api/jobs")).toMatchObject([{ job_id: next.job_id }]);
});
