/** clean by number, by age and by size: which jobs and which orphaned files it deletes. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { edit, openDatabase } from "../support/database.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { childrenOf, killWorker } from "../support/processes.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

interface Cleaned {
  readonly deleted: number;
  readonly errors: number;
  readonly stray_files: number;
  readonly log_bytes?: number;
}

async function runJob(box: Sandbox, key: string, script = "true"): Promise<JobAnswer> {
  return box.json(["start", "--run-key", key, "--sync", "--", "sh", "-c", script]);
}

/** `key 1`, `key 2`, …: the remaining jobs, oldest first. */
function history(box: Sandbox): string[] {
  using database = openDatabase(box);
  return database
    .query<{ name: string }, []>("select run_key || ' ' || attempt_no as name from jobs order by seq")
    .all()
    .map((row) => row.name);
}

const clean = (box: Sandbox, ...words: string[]) => box.json<Cleaned>(["clean", ...words]);

const DAY_MS = 86_400_000;

/** Makes all jobs of a key older. */
function makeOlder(box: Sandbox, key: string, days: number): void {
  edit(
    box,
    `update job_records set finished_at = finished_at - ${days} * 86400000000 where run_key = '${key}'`,
  );
}

describe("--keep", () => {
  test("--keep keeps the newest finished jobs of each key, however many keys there are", async () => {
    await using box = new Sandbox();
    for (const key of ["a", "b", "a", "a", "c", "b"]) await runJob(box, key);
    expect(await clean(box, "--keep", "2")).toMatchObject({ deleted: 1, errors: 0, stray_files: 0 });
    expect(history(box)).toEqual(["b 1", "a 2", "a 3", "c 1", "b 2"]);
    expect(await clean(box, "--keep", "1")).toMatchObject({ deleted: 2 });
    expect(history(box)).toEqual(["a 3", "c 1", "b 2"]);
    expect(await clean(box, "--keep", "0")).toMatchObject({ deleted: 3 });
    expect(readdirSync(join(box.home, "logs"))).toEqual([]);
  });

  test("--keep does not count an active job, and clean never touches it", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await runJob(box, "k");
    await runJob(box, "k");
    const active = await startWaiting(box, "k", gate);
    expect(await clean(box, "--keep", "1")).toMatchObject({ deleted: 1 });
    expect(await clean(box, "--keep", "0")).toMatchObject({ deleted: 1 });
    expect(history(box)).toEqual(["k 3"]);
    expect(existsSync(active.stdout_file)).toBe(true);
  });

  test("--keep goes by the attempt number, not by a clock that was set back", async () => {
    await using box = new Sandbox();
    await runJob(box, "k");
    await runJob(box, "k");
    edit(box, "update job_records set finished_at = 1000000000000 where attempt_no = 2");
    await clean(box, "--keep", "1");
    expect(history(box)).toEqual(["k 2"]);
  });

  test("a strict key whose last job was deleted stays used", async () => {
    await using box = new Sandbox();
    const words = ["start", "--run-key", "once", "--strict", "--sync", "--", "true"];
    await box.json(words);
    expect(await clean(box, "--keep", "0")).toMatchObject({ deleted: 1 });
    const refused = await box.run(words);
    expect(refused).toMatchObject({ code: 4, stdout: "" });
  });
});

describe("--older-than", () => {
  test("--older-than deletes only jobs that ended longer ago", async () => {
    await using box = new Sandbox();
    for (const key of ["old", "young"]) await runJob(box, key);
    makeOlder(box, "old", 31);
    makeOlder(box, "young", 29);
    expect(await clean(box, "--older-than", "30d")).toMatchObject({ deleted: 1, errors: 0, stray_files: 0 });
    expect(history(box)).toEqual(["young 1"]);
  });

  test("with several limits clean deletes only jobs that all of them allow", async () => {
    await using box = new Sandbox();
    for (const key of ["old", "young", "old", "young"]) await runJob(box, key, "echo something");
    makeOlder(box, "old", 31);
    const before = new Date(Date.now() - 40 * DAY_MS).toISOString();
    expect(await clean(box, "--older-than", "30d", "--before", before)).toMatchObject({ deleted: 0 });
    expect(await clean(box, "--older-than", "40d", "--before", "2999-01-01")).toMatchObject({ deleted: 0 });
    expect(await clean(box, "--older-than", "30d", "--max-log-bytes", "1M")).toMatchObject({ deleted: 0 });
    expect(await clean(box, "--older-than", "30d", "--keep", "1")).toMatchObject({ deleted: 1 });
    expect(history(box)).toEqual(["young 1", "old 2", "young 2"]);
    expect(await clean(box, "--max-log-bytes", "0", "--keep", "1")).toMatchObject({ deleted: 1 });
    expect(history(box)).toEqual(["old 2", "young 2"]);
  });
});

describe("--max-log-bytes", () => {
  /** Logs of 3000, 2000 and 1000 bytes, oldest first, with jobs without output before and between them. */
  async function withLogs(box: Sandbox): Promise<void> {
    await runJob(box, "silent");
    await runJob(box, "a", "head -c 2000 /dev/zero; head -c 1000 /dev/zero >&2");
    await runJob(box, "silent");
    await runJob(box, "b", "head -c 2000 /dev/zero >&2");
    await runJob(box, "c", "head -c 1000 /dev/zero");
  }

  test("--max-log-bytes deletes the oldest jobs until the rest fits, and no job whose deletion frees nothing", async () => {
    await using box = new Sandbox();
    await withLogs(box);
    expect(await clean(box, "--max-log-bytes", "6000")).toMatchObject({
      deleted: 0,
      errors: 0,
      stray_files: 0,
      log_bytes: 6000,
    });
    expect(await clean(box, "--max-log-bytes", "5999")).toMatchObject({ deleted: 1, log_bytes: 3000 });
    expect(history(box)).toEqual(["silent 1", "silent 2", "b 1", "c 1"]);
    expect(await clean(box, "--max-log-bytes", "1K")).toMatchObject({ deleted: 1, log_bytes: 1000 });
    expect(await clean(box, "--max-log-bytes", "0")).toMatchObject({ deleted: 1, log_bytes: 0 });
    expect(history(box)).toEqual(["silent 1", "silent 2"]);
  });

  test("clean finishes what a killed clean has begun: it deletes a job without log files, and keeps one with empty logs", async () => {
    await using box = new Sandbox();
    await withLogs(box);
    const begun = await box.json(["status", "--run-key", "a"]);
    for (const path of [begun.stdout_file, begun.stderr_file]) rmSync(path);
    expect(await clean(box, "--max-log-bytes", "3000")).toMatchObject({ deleted: 0, log_bytes: 3000 });
    expect(await clean(box, "--max-log-bytes", "2999")).toMatchObject({ deleted: 2, log_bytes: 1000 });
    expect(history(box)).toEqual(["silent 1", "silent 2", "c 1"]);
  });

  test("--max-log-bytes counts the logs of active jobs, and keeps them", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await withLogs(box);
    const script = `head -c 5000 /dev/zero; ${gate.wait}`;
    const active = await box.json(["start", "--run-key", "active", "--", "sh", "-c", script]);
    await until("its output", () => statSync(active.stdout_file).size === 5000);
    expect(await clean(box, "--max-log-bytes", "6000")).toMatchObject({ deleted: 2, log_bytes: 6000 });
    expect(await clean(box, "--max-log-bytes", "4000")).toMatchObject({ deleted: 1, log_bytes: 5000 });
    expect(history(box)).toEqual(["silent 1", "silent 2", "active 1"]);
  });

  test("a dry run says what would be deleted, and deletes nothing", async () => {
    await using box = new Sandbox();
    await withLogs(box);
    const before = history(box);
    const result = await box.run(["clean", "--max-log-bytes", "1000", "--dry-run"]);
    expect(JSON.parse(result.stdout)).toMatchObject({
      deleted: 2,
      errors: 0,
      stray_files: 0,
      log_bytes: 1000,
    });
    expect(result.stderr.match(/^orchesjob: Would delete job \S+ \([ab], SUCCEEDED\)$/gm)).toHaveLength(2);
    expect(history(box)).toEqual(before);
    const table = await box.run(["clean", "--max-log-bytes", "1000", "--dry-run", "--format", "table"]);
    expect(table.stdout.trimEnd().split("\n")).toHaveLength(3);
  });
});

test("every limit keeps a LOST job of which a process still runs", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await box.json(["start", "--run-key", "k", "--", "sh", "-c", `echo some; ${gate.wait}`]);
  await until("its output", () => statSync(job.stdout_file).size > 0);
  await killWorker(job);
  expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ status: "LOST" });
  for (const limit of [
    ["--keep", "0"],
    ["--max-log-bytes", "0"],
    ["--before", "2999-01-01"],
  ])
    expect(await clean(box, ...limit)).toMatchObject({ deleted: 0 });
  gate.open();
  await until("the orphan ends", () => box.processes().length === 0);
  expect(await clean(box, "--keep", "0")).toMatchObject({ deleted: 1 });
});

testWith(
  ["strace"],
  "clean deletes the files before the row also for a job that ends while clean runs",
  async () => {
    await using box = new Sandbox();
    await runJob(box, "first");
    // Stops clean when it has just listed the folders of locks and logs: two calls each, the last of which finds
    // nothing more.
    const inject = "inject=getdents64:signal=SIGSTOP:when=4";
    const trace = join(box.directory, "trace");
    const strace = ["strace", "-qq", "-o", trace, "-e", "trace=getdents64", "-e", inject];
    const cleaning = box.spawn([...strace, BINARY, "clean", "--before", "2999-01-01"]);
    await until("clean is stopped", async () => {
      const file = Bun.file(trace);
      return (await file.exists()) && (await file.text()).includes("stopped by SIGSTOP");
    });
    const [pid] = childrenOf(cleaning.pid);
    await runJob(box, "second");
    process.kill(pid!, "SIGCONT");
    const { code, stdout } = await box.finished(cleaning);
    expect({ code, answer: JSON.parse(stdout) }).toMatchObject({ code: 0, answer: { deleted: 2 } });
    expect(readdirSync(join(box.home, "logs"))).toEqual([]);
  },
);

describe("orphaned files", () => {
  const ID = "01a20fd5-7297-7304-a49c-f362d95bc29b";

  /** Makes a state directory with one job and a file of that name, last written so many days ago. */
  async function withFile(box: Sandbox, name: string, days: number): Promise<string> {
    if (!existsSync(box.home)) await runJob(box, "k", "echo out");
    const path = join(box.home, name);
    writeFileSync(path, "bytes");
    const time = (Date.now() - days * DAY_MS) / 1000;
    utimesSync(path, time, time);
    return path;
  }

  test("logs without a job are deleted and counted after a week; a dry run names them", async () => {
    await using box = new Sandbox();
    const paths = [await withFile(box, `logs/${ID}.stdout`, 8), await withFile(box, `logs/${ID}.stderr`, 8)];
    const dry = await box.run(["clean", "--keep", "1", "--older-than", "1d", "--dry-run"]);
    expect(JSON.parse(dry.stdout)).toMatchObject({ deleted: 0, errors: 0, stray_files: 2 });
    for (const path of paths) expect(dry.stderr).toContain(`Would delete ${path}, which belongs to no job\n`);
    expect(paths.map(existsSync)).toEqual([true, true]);
    const answer = await clean(box, "--keep", "1", "--older-than", "1d");
    expect(answer).toMatchObject({ deleted: 0, errors: 0, stray_files: 2 });
    expect(paths.map(existsSync)).toEqual([false, false]);
    expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe("out\n");
  });

  test("orphaned logs stay for a week, and as long as a job of their age would", async () => {
    await using box = new Sandbox();
    const young = await withFile(box, `logs/${ID}.stdout`, 6);
    const older = await withFile(box, `logs/${ID}.stderr`, 20);
    expect(await clean(box, "--older-than", "30d", "--keep", "0")).toMatchObject({ stray_files: 0 });
    expect(await clean(box, "--older-than", "1d")).toMatchObject({ deleted: 0, stray_files: 1 });
    expect([young, older].map(existsSync)).toEqual([true, false]);
  });

  test("orphaned logs stay, however old, if no limit is by age", async () => {
    await using box = new Sandbox();
    const path = await withFile(box, `logs/${ID}.stdout`, 1000);
    expect(await clean(box, "--keep", "1")).toMatchObject({ deleted: 0, errors: 0, stray_files: 0 });
    expect(await clean(box, "--max-log-bytes", "1G")).toMatchObject({ stray_files: 0, log_bytes: 4 });
    expect(existsSync(path)).toBe(true);
    expect(await clean(box, "--before", "2999-01-01", "--keep", "1")).toMatchObject({ stray_files: 1 });
    expect(existsSync(path)).toBe(false);
  });

  test("the size of orphaned logs does not count for --max-log-bytes", async () => {
    await using box = new Sandbox();
    await withFile(box, `logs/${ID}.stdout`, 1);
    expect(await clean(box, "--max-log-bytes", "4")).toMatchObject({ deleted: 0, log_bytes: 4 });
  });

  test("clean deletes only regular files whose name is exactly one of orchesjob's", async () => {
    await using box = new Sandbox();
    const names = ["notes.stdout", `${ID}.stdout.gz`, `x${ID}.stdout`, `${ID.toUpperCase()}.stdout`, ID];
    const paths: string[] = [];
    for (const name of names) paths.push(await withFile(box, `logs/${name}`, 100));
    paths.push(await withFile(box, "locks/README", 100));
    const directory = join(box.home, "logs", `${ID}.stderr`);
    mkdirSync(directory);
    utimesSync(directory, 1_000_000, 1_000_000);
    expect(await clean(box, "--before", "2999-01-01")).toMatchObject({
      deleted: 1,
      errors: 0,
      stray_files: 0,
    });
    expect(paths.map(existsSync)).toEqual(paths.map(() => true));
  });

  test("a running job's logs stay even if the database does not know the job", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await runJob(box, "other");
    const job = await startWaiting(box, "k", gate);
    // As after restoring an older backup.
    edit(box, "delete from job_records where run_key = 'k'");
    const logs = [job.stdout_file, job.stderr_file];
    for (const path of logs) utimesSync(path, 1_000_000, 1_000_000);
    const all = ["--older-than", "1s"];
    expect(await clean(box, "--keep", "1", ...all)).toMatchObject({ stray_files: 0, errors: 0 });
    expect(logs.map(existsSync)).toEqual([true, true]);
    gate.open();
    await until("the job ends", () => box.processes().length === 0);
    // Its worker has recorded it again.
    expect(await clean(box, "--keep", "1", ...all)).toMatchObject({ stray_files: 0, errors: 0 });
    expect(logs.map(existsSync)).toEqual([true, true]);
    expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ status: "SUCCEEDED" });
  });

  testWith(["python3"], "a log that another process has locked stays", async () => {
    await using box = new Sandbox();
    const path = await withFile(box, `logs/${ID}.stdout`, 100);
    const script = `import fcntl,sys
f=open(${JSON.stringify(path)})
fcntl.flock(f,fcntl.LOCK_EX)
print("locked",flush=True)
sys.stdin.read()`;
    const holder = Bun.spawn(["python3", "-S", "-c", script], { stdin: "pipe", stdout: "pipe" });
    await holder.stdout.getReader().read();
    const old = ["--keep", "1", "--older-than", "30d"];
    expect(await clean(box, ...old)).toMatchObject({ stray_files: 0 });
    holder.stdin.end();
    await holder.exited;
    expect(await clean(box, ...old)).toMatchObject({ stray_files: 1 });
  });

  test("a lock file that nobody holds is deleted and counted after an hour", async () => {
    await using box = new Sandbox();
    await runJob(box, "k");
    const path = join(box.home, "locks", ID);
    closeSync(openSync(path, "w"));
    expect(await clean(box, "--keep", "1")).toMatchObject({ stray_files: 0 });
    utimesSync(path, Date.now() / 1000 - 3_700, Date.now() / 1000 - 3_700);
    expect(await clean(box, "--keep", "1")).toMatchObject({ stray_files: 1 });
    expect(existsSync(path)).toBe(false);
  });

  test("clean also deletes orphaned logs if there are more than it remembers by name", async () => {
    await using box = new Sandbox();
    await runJob(box, "k");
    edit(
      box,
      `with recursive number(n) as (select 1 union all select n + 1 from number where n < 300)
       insert into job_records (job_id, run_key, attempt_no, status, command, cwd, started_at, finished_at, host)
       select 'old-' || n, 'key ' || n, 1, 'SUCCEEDED', '["true"]', '/', n, n, '' from number`,
    );
    const touch = (name: string) => closeSync(openSync(join(box.home, "logs", name), "w"));
    for (let count = 1; count <= 300; count++) touch(`old-${count}.stdout`);
    for (let count = 0; count < 60_000; count++) touch(`other-${count}`);
    expect(await clean(box, "--keep", "0")).toMatchObject({ deleted: 301, errors: 0 });
    const left = readdirSync(join(box.home, "logs"));
    expect(left.filter((name) => !name.startsWith("other-"))).toEqual([]);
  });
});
