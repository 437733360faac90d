/** The command gets its caller's environment byte for byte and in order, plus orchesjob's own variables. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";
import { shell } from "../support/shell.ts";

setDefaultTimeout(TIMEOUT_MS);

const TOKEN = /^ORCHESJOB_JOB_TOKEN=[0-9a-f-]{36}$/gm;

/** The entries of a /proc/PID/environ, one character per byte. */
function entriesOf(path: string): string[] {
  const entries = readFileSync(path, "latin1").split("\0").slice(0, -1);
  return entries.map((entry) => entry.replace(TOKEN, "ORCHESJOB_JOB_TOKEN=?"));
}

/** orchesjob's own entries; a value that the test cannot predict is `?`. */
function ours(job: JobAnswer): string[] {
  return [
    `ORCHESJOB_JOB_ID=${job.job_id}`,
    "ORCHESJOB_JOB_TOKEN=?",
    `ORCHESJOB_RUN_KEY=${Buffer.from(job.run_key).toString("latin1")}`,
    `ORCHESJOB_ATTEMPT=${job.attempt_no}`,
    `ORCHESJOB_FENCING_TOKEN=${job.fencing_token}`,
  ];
}

test.each([
  [
    "raw bytes",
    String.raw`"RAW=$(printf 'a\377\376\001z')" "$(printf 'n\351m')=latin"`,
    "RAW=a\xff\xfe\x01z",
  ],
  ["text", "TEXT=Größe größe=2", `TEXT=${Buffer.from("Größe").toString("latin1")}`],
  ["numbers as names", "B=1 10=ten 9=nine", "10=ten"],
  ["names of an object's own", "__proto__=1 constructor=2", "__proto__=1"],
])("%s, odd names, empty and large values arrive as they are", async (_, some, one) => {
  await using box = new Sandbox();
  // env(1) passes on exactly what it is given; a shell would drop what is not a valid name.
  const script = `
    exec env -i "ORCHESJOB_HOME=$ORCHESJOB_HOME" "PATH=$PATH" \\
      ${some} EMPTY= 'two words=1' 'dotted.name=2' '1st=3' \\
      'LINES=a
b' 'EQUALS=a=b=c' "LARGE=$(printf '%0100000d' 7)" BUN_X=1 NODE_ENV=weird lower=1 \\
      "$@"`;
  const words = ["start", "--run-key", "schlüssel", "--sync", "--", "cat", "/proc/self/environ"];
  const direct = await shell(box, `${script} >direct`, { words: ["cat", "/proc/self/environ"] });
  expect(direct).toMatchObject({ code: 0, stderr: "" });
  const started = await shell(box, script.replace('"$@"', '"$0" "$@"'), { words });
  expect(started).toMatchObject({ code: 0, stderr: "" });
  const job = JSON.parse(started.stdout) as JobAnswer;
  const given = entriesOf(`${box.directory}/direct`);
  expect(given.length).toBeGreaterThanOrEqual(14);
  expect(given).toContain(one);
  expect(entriesOf(job.stdout_file)).toEqual([...given, ...ours(job)]);
});

test("the command can read a raw value", async () => {
  await using box = new Sandbox();
  await shell(
    box,
    `RAW="$(printf '\\377\\200x')" "$0" start --run-key k --sync -- sh -c 'printf %s "$RAW" | od -An -tx1'`,
  );
  expect((await box.run(["logs", "--run-key", "k"])).stdout.trim()).toBe("ff 80 78");
});

test("orchesjob's variables replace those of an outer job, and no others", async () => {
  await using box = new Sandbox();
  const env = {
    ORCHESJOB_JOB_ID: "outer",
    ORCHESJOB_RUN_KEY: "outer",
    ORCHESJOB_ATTEMPT: "9",
    ORCHESJOB_JOB_ID_OLD: "kept",
    XORCHESJOB_JOB_ID: "kept",
    TEXT: "ORCHESJOB_JOB_ID=kept",
  };
  await box.json(["start", "--run-key", "k", "--sync", "--", "true"], { env });
  const job = await box.json(["start", "--run-key", "k", "--sync", "--", "env"], { env });
  const output = (await box.run(["logs", "--run-key", "k"])).stdout;
  const lines = output.replace(TOKEN, "ORCHESJOB_JOB_TOKEN=?").split("\n");
  const ofTheTests = /^ORCHESJOB_(HOME|BINARY)=/;
  expect(lines.filter((line) => line.includes("ORCHESJOB_") && !ofTheTests.test(line)).sort()).toEqual(
    [
      ...ours(job),
      "ORCHESJOB_ANCESTOR_JOB_IDS=outer",
      "ORCHESJOB_JOB_ID_OLD=kept",
      "XORCHESJOB_JOB_ID=kept",
      "TEXT=ORCHESJOB_JOB_ID=kept",
    ].sort(),
  );
  expect(job.attempt_no).toBe(2);
});

test("a job started by a job has its own variables", async () => {
  await using box = new Sandbox();
  const script =
    '"$0" start --run-key inner --sync -- sh -c \'echo "$ORCHESJOB_RUN_KEY"\'; echo "$ORCHESJOB_RUN_KEY"';
  await box.json(["start", "--run-key", "outer", "--sync", "--", "sh", "-c", script, BINARY]);
  expect((await box.run(["logs", "--run-key", "inner"])).stdout).toBe("inner\n");
  expect((await box.run(["logs", "--run-key", "outer"])).stdout).toEndWith("}\nouter\n");
});

test.each([
  ["text", "TEXT=1"],
  ["not text", String.raw`"RAW=$(printf '\377')"`],
])(
  "the environment of a worker started by a job names the worker's own job, if it is %s",
  async (_, entry) => {
    await using box = new Sandbox();
    const script = `exec env ${entry} "$0" start --run-key inner --sync -- sh -c 'cat /proc/$PPID/environ'`;
    await box.json(["start", "--run-key", "outer", "--sync", "--", "sh", "-c", script, BINARY]);
    const inner = await box.json(["status", "--run-key", "inner"]);
    const entries = entriesOf(inner.stdout_file).filter((text) => /^ORCHESJOB_(JOB_|RUN_KEY)/.test(text));
    expect(entries.sort()).toEqual(ours(inner).slice(0, 3).sort());
  },
);

test("no PATH, and nothing in the environment but the state directory, is enough", async () => {
  await using box = new Sandbox();
  const result = await shell(
    box,
    'exec env -i "ORCHESJOB_HOME=$ORCHESJOB_HOME" "$0" start --run-key k --sync -- env',
  );
  expect(JSON.parse(result.stdout)).toMatchObject({ status: "SUCCEEDED" });
  const lines = (await box.run(["logs", "--run-key", "k"])).stdout.trimEnd().split("\n");
  expect(lines[0]).toBe(`ORCHESJOB_HOME=${box.home}`);
  expect(lines).toHaveLength(6);
});
