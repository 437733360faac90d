/** How jobs are printed: tables and JSON, ORCHESJOB_FORMAT, JSON Lines, CSV, chosen fields. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { edit } from "../support/database.ts";
import { expectFailure } from "../support/expect.ts";
import { testWith } from "../support/needs.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";
import { onTerminal, plainLines } from "../support/terminal.ts";

setDefaultTimeout(TIMEOUT_MS);

const finish = (box: Sandbox, key: string, ...command: readonly string[]) =>
  box.json(["start", "-k", key, "--sync", "--label", "team=a", "--", ...command]);

async function shownOnTerminal(
  box: Sandbox,
  words: readonly string[],
  env: Record<string, string> = {},
): Promise<string[]> {
  const screen = onTerminal(box, words, { columns: 200, env });
  expect(await screen.ended()).toBe(0);
  return plainLines(screen.shown());
}

const printed = async (box: Sandbox, words: readonly string[], env: Record<string, string> = {}) => {
  const { stdout, stderr, code } = await box.run(words, { env });
  expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
  return stdout;
};

test("list and ps print a table on a terminal, and JSON elsewhere", async () => {
  await using box = new Sandbox();
  await finish(box, "k", "true");
  for (const command of ["list", "ps"]) {
    expect(await shownOnTerminal(box, [command])).toEqual([
      expect.stringMatching(/^RUN KEY /),
      expect.stringMatching(/^k .*SUCCEEDED/),
    ]);
    expect((await shownOnTerminal(box, [command, "--format", "json"]))[0]).toBe("[");
    expect(await box.json<unknown[]>([command])).toMatchObject([{ run_key: "k" }]);
    expect(await printed(box, [command, "--format", "table"])).toMatch(/^RUN KEY /);
  }
});

describe("ORCHESJOB_FORMAT", () => {
  test("is the format of commands that have --format, which wins", async () => {
    await using box = new Sandbox();
    await finish(box, "k", "true");
    const table = { ORCHESJOB_FORMAT: "table" };
    for (const words of [
      ["list"],
      ["ps"],
      ["status", "k"],
      ["status", "k", "--all"],
      ["status", "--running"],
    ]) {
      expect(await printed(box, words, table)).toMatch(/^RUN KEY /);
      expect(JSON.parse(await printed(box, [...words, "--format", "json"], table))).toBeObject();
    }
    expect((await box.run(["doctor"], { env: table })).stdout).not.toStartWith("{");
    expect((await shownOnTerminal(box, ["list"], { ORCHESJOB_FORMAT: "json" }))[0]).toBe("[");
    expect(await printed(box, ["list"], { ORCHESJOB_FORMAT: "" })).toStartWith("[");
    // What has no table goes on as it is.
    expect(JSON.parse(await printed(box, ["clean", "--keep", "5"], table))).toMatchObject({ deleted: 0 });
    expect(JSON.parse(await printed(box, ["wait", "k"], table))).toMatchObject({ run_key: "k" });
  });

  test("with a bad value is refused before anything is done, unless --format is given", async () => {
    await using box = new Sandbox();
    await finish(box, "k", "true");
    const env = { ORCHESJOB_FORMAT: "csv" };
    for (const words of [["list"], ["ps"], ["status", "k"], ["doctor"], ["clean", "--all"]])
      expectFailure(await box.run(words, { env }), 2, 'ORCHESJOB_FORMAT must be json or table, not "csv"');
    expect(await printed(box, ["list", "--format", "json"], env)).toStartWith("[");
    expect(await printed(box, ["logs", "k"], env)).toBe("");
  });
});

describe("--fields", () => {
  test("chooses and orders the fields of every format; took is seconds", async () => {
    await using box = new Sandbox();
    await finish(box, "k", "sh", "-c", "exit 3");
    edit(box, "update job_records set started_at = 1700000000000000, finished_at = 1700000192500000");
    const words = ["list", "--fields", "status,took,run_key,labels,signal"];
    const job = { status: "FAILED", took: 192.5, run_key: "k", labels: { team: "a" }, signal: null };
    expect(JSON.stringify(JSON.parse(await printed(box, words)))).toBe(JSON.stringify([job]));
    expect(await printed(box, [...words, "--format", "jsonl"])).toBe(`${JSON.stringify(job)}\n`);
    expect(await printed(box, [...words, "--format", "csv"])).toBe(
      'status,took,run_key,labels,signal\r\nFAILED,192.5,k,"{""team"":""a""}",\r\n',
    );
    expect(plainLines(await printed(box, [...words, "--format", "table"]))).toEqual([
      expect.stringMatching(/^STATUS +TOOK +RUN KEY +LABELS +SIGNAL$/),
      expect.stringMatching(/^FAILED +3m12s +k +team=a +-$/),
    ]);
    expect(await box.json<unknown>(["status", "k", "--fields", "took,exit_code"])).toEqual({
      took: 192.5,
      exit_code: 3,
    });
    expect(await box.json<unknown>(["status", "k", "--all", "--fields", "took"])).toEqual([{ took: 192.5 }]);
  });

  test("may be any field of a job", async () => {
    await using box = new Sandbox();
    const job = await finish(box, "k", "true");
    const status = await box.json<object>(["status", "k"]);
    const names = Object.keys(status).join(",");
    expect(await box.json<unknown>(["status", "k", "--fields", names])).toEqual(status);
    expect((await printed(box, ["list", "--format", "csv"])).split("\r\n")[0]).toBe(names);
    expect(await shownOnTerminal(box, ["list", "--fields", "job_id,command"])).toEqual([
      expect.stringMatching(/^JOB ID +COMMAND$/),
      expect.stringMatching(new RegExp(`^${job.job_id} +true$`)),
    ]);
  });

  test("of a table are all shown, cut to the width of the terminal", async () => {
    await using box = new Sandbox();
    await finish(box, "a long run key that has many words", "echo", "x".repeat(100));
    const screen = onTerminal(box, ["list", "--fields", "run_key,attempt_no,job_id,command"], {
      columns: 60,
    });
    expect(await screen.ended()).toBe(0);
    const lines = plainLines(screen.shown());
    expect(lines[0]).toMatch(/^RUN KEY +ATTEMPT NO +JOB ID +COMMAND$/);
    for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(60);
  });
});

test("jsonl has each job as list has it, in one line", async () => {
  await using box = new Sandbox();
  for (const key of ["a\u2028b", "c"]) await finish(box, key, "true");
  const lines = (await printed(box, ["list", "--format", "jsonl"])).trimEnd().split("\n");
  expect(lines.map((line): unknown => JSON.parse(line))).toEqual(await box.json<unknown[]>(["list"]));
  expect(await printed(box, ["list", "--status", "lost", "--format", "jsonl"])).toBe("");
});

describe("csv", () => {
  const WORDS = ["list", "--fields", "run_key,command,error", "--format", "csv"];

  testWith(["python3"], "is read back by Python as it was, whatever is in it", async () => {
    await using box = new Sandbox();
    const keys = ['say "hi", all', "semi;colon\u2028", " blank ", "=1+1", "日本語"];
    for (const key of keys) await finish(box, key, "echo", 'two\r\nlines, "quoted"', "");
    const script = "import csv, json, sys; print(json.dumps(list(csv.DictReader(open(0, newline='')))))";
    const { stdout } = await box.execute(["sh", "-c", `"$@" | python3 -c "$0"`, script, BINARY, ...WORDS]);
    const read = JSON.parse(stdout) as { run_key: string; command: string; error: string }[];
    expect(read.map(({ run_key: key }) => key)).toEqual(keys.toReversed());
    for (const { command, error } of read) {
      expect(JSON.parse(command)).toEqual(["echo", 'two\r\nlines, "quoted"', ""]);
      expect(error).toBe("");
    }
    // Python skips an empty line, so that an empty only field must not be one.
    expect(await printed(box, ["list", "-n", "1", "--fields", "error", "--format", "csv"])).toBe(
      'error\r\n""\r\n',
    );
  });

  test("has a head line even without jobs", async () => {
    await using box = new Sandbox();
    await finish(box, "k", "true");
    expect(await printed(box, [...WORDS, "--status", "lost"])).toBe("run_key,command,error\r\n");
  });
});

/** Adds finished jobs of the key `many`, as many as that. */
const addMany = (box: Sandbox, count: number) =>
  edit(
    box,
    `with recursive n(i) as (select 1 union all select i + 1 from n where i < ${count})
     insert into job_records (job_id, run_key, attempt_no, status, command, cwd, started_at, finished_at, host)
     select 'job-' || i, 'many', i, iif(i % 7 = 0, 'FAILED', 'SUCCEEDED'), '["true"]', '/', 1, 1, 'h' from n`,
  );

test("a reader that closes early is no error, in any format", async () => {
  await using box = new Sandbox();
  await finish(box, "k", "true");
  addMany(box, 3000);
  for (const format of ["json", "jsonl", "csv", "table"]) {
    const line = `"$@" | head -n 1; exit \${PIPESTATUS[0]}`;
    const words = [BINARY, "list", "-n", "5000", "--format", format];
    const { stderr, code } = await box.execute(["bash", "-c", line, "bash", ...words]);
    expect({ format, stderr }).toEqual({ format, stderr: "" });
    expect([0, 141]).toContain(code!);
  }
});

test("jsonl and csv of very many jobs are those of json, and take no more memory than a few", async () => {
  await using box = new Sandbox();
  await finish(box, "k", "true");
  addMany(box, 40_000);
  for (const words of [
    ["list", "-n", "2501"],
    ["list", "-n", "1000", "--status", "failed", "--run-key-prefix", "ma"],
  ]) {
    const ids = (await box.json<JobAnswer[]>(words)).map((job) => job.job_id);
    expect(ids).toHaveLength(Number(words[2]));
    const lines = await printed(box, [...words, "--fields", "job_id", "--format", "jsonl"]);
    expect(lines).toBe(ids.map((id) => `{"job_id":"${id}"}\n`).join(""));
    const csv = await printed(box, [...words, "--fields", "job_id", "--format", "csv"]);
    expect(csv).toBe(["job_id", ...ids].map((id) => `${id}\r\n`).join(""));
  }
  // Measured as that of a job: what the kernel tells of a child of this process includes the memory of this process.
  const memory = async (limit: number) => {
    const words = ["list", "-n", String(limit), "--fields", "run_key", "--format", "csv"];
    const job = await box.json<{ max_rss_bytes: number }>([
      ...["start", "-k", "measured", "--sync", "--"],
      ...[BINARY, ...words],
    ]);
    expect(await printed(box, ["logs", "measured"])).toEndWith("many\r\n");
    return job.max_rss_bytes;
  };
  const few = await memory(1_000);
  expect((await memory(40_000)) / few).toBeLessThan(2.2);
});

describe("ps", () => {
  const keys = async (box: Sandbox, ...words: readonly string[]) =>
    (await box.json<JobAnswer[]>(["ps", ...words])).map((job) => job.run_key);

  test("shows the jobs that ended last, not those that started last", async () => {
    await using box = new Sandbox();
    for (const key of ["a", "b", "c"]) await finish(box, key, "true");
    edit(box, "update job_records set finished_at = finished_at + 60000000 where run_key = 'a'");
    expect(await keys(box)).toEqual(["a", "c", "b"]);
    expect(await keys(box, "-n", "2")).toEqual(["a", "c"]);
    expect(await keys(box, "--label", "team=b")).toEqual([]);
  });

  test("without a state directory there are no jobs, and none is made", async () => {
    await using box = new Sandbox();
    expect(await keys(box)).toEqual([]);
  });
});
