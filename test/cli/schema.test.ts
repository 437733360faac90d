/** `schema`: the declaration of every answer, which each answer of the suite is held against (test/support/answers.ts). */
import { expect, setDefaultTimeout, test } from "bun:test";
import { answerSchemas, checkAnswer } from "../support/answers.ts";
import { expectFailure } from "../support/expect.ts";
import { formOf, type JsonSchema } from "../support/json-schema.ts";
import { testWith } from "../support/needs.ts";
import { BINARY, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const DIALECT = "https://json-schema.org/draft/2020-12/schema";
/** Commands that print no JSON. */
const WITHOUT = ["run", "logs", "metrics", "top", "report", "completion", "man"];

const definitions = (schema: JsonSchema) => schema["$defs"] as Record<string, JsonSchema>;

test("schema prints the schema of every command that prints JSON", async () => {
  await using box = new Sandbox();
  const all = await box.json<JsonSchema>(["schema"]);
  expect(all["$schema"]).toBe(DIALECT);
  const help = (await box.run(["--help"])).stdout.split("\n\n").find((part) => part.startsWith("Commands:"))!;
  const commands = [...help.matchAll(/^ {2}(\w+) /gm)].map((match) => match[1]!);
  const described = Object.keys(definitions(all)).filter((name) => commands.includes(name));
  expect([...described, ...WITHOUT].sort()).toEqual(commands.sort());
  // The completion offers the same.
  expectFailure(await box.run(["schema", "man"]), 2, new RegExp(`these do: ${described.join(", ")}\n$`));
  for (const name of described) {
    const one = await box.json<JsonSchema>(["schema", name]);
    expect(one).toMatchObject({ $schema: DIALECT, ...definitions(all)[name] });
  }
});

test("schema refuses what is no command that prints JSON", async () => {
  await using box = new Sandbox();
  expectFailure(await box.run(["schema", "statsu"]), 2, 'no command "statsu"; did you mean status?');
  expectFailure(await box.run(["schema", "xyz"]), 2, 'no command "xyz"; see: orchesjob --help');
  expectFailure(await box.run(["schema", "logs"]), 2, "logs prints no JSON; these do: start, status");
  expectFailure(await box.run(["schema", "start", "wait"]), 2, 'one command, not also "wait"');
  expect(await box.json<JsonSchema>(["schema", "abort"])).toEqual({
    ...(await box.json<JsonSchema>(["schema", "cancel"])),
  });
});

test("a job has its fields in the order of their declaration", async () => {
  await using box = new Sandbox();
  const start = ["start", "--run-key", "k", "--sync", "--label", "team=a", "--timeout", "90m"];
  await box.json([...start, "--on-exit", "true", "--", "true"]);
  const job = await box.json<object>(["status", "--run-key", "k"]);
  const all = answerSchemas(BINARY);
  expect(Object.keys(job)).toEqual(Object.keys(formOf(all, definitions(all)["job"]!).properties));
});

test("an answer that is not as declared fails the test that gets it", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
  const job = await box.json<Record<string, unknown>>(["status", "--run-key", "k"]);
  const { cwd, ...without } = job;
  const wrong = [
    { ...job, newer: 1 },
    without,
    { ...job, pid: "12" },
    { ...job, status: "DONE" },
    { ...job, labels: { team: 1 } },
    { ...job, started_at: "2026-05-01T02:00:00Z" },
    [{ ...job, orphan_pids: [null] }],
  ];
  expect(() => checkAnswer(BINARY, ["status"], JSON.stringify([job]))).not.toThrow();
  for (const answer of wrong)
    expect(() => checkAnswer(BINARY, ["status"], JSON.stringify(answer))).toThrow("not as declared");
  // Lines of JSON, and chosen fields.
  const lines = `${JSON.stringify(job)}\n${JSON.stringify({ ...job, pid: "12" })}\n`;
  expect(() => checkAnswer(BINARY, ["list"], lines)).toThrow('"12" is no integer');
  const chosen = [{ run_key: "k", took: null, exit_code: "0" }];
  expect(() => checkAnswer(BINARY, ["list", "--fields", "…"], JSON.stringify(chosen, null, 2))).toThrow(
    '"0" is no integer',
  );
});

testWith(["python3-jsonschema"], "another validator accepts the schemas and the answers", async () => {
  await using box = new Sandbox();
  await box.json([
    "start",
    "--run-key",
    "k",
    "--sync",
    "--label",
    "team=a",
    "--",
    "sh",
    "-c",
    "echo é; exit 3",
  ]);
  const calls = [
    ["start", "--run-key", "k", "--sync", "--", "true"],
    ["status", "--run-key", "k"],
    ["status", "--run-key", "k", "--all"],
    ["result", "--run-key", "k"],
    ["attach", "k", "--format", "json"],
    ["clean", "--older-than", "30d"],
    ["doctor"],
  ];
  const script = `
import json, subprocess, sys
from jsonschema import Draft202012Validator
program, calls = sys.argv[1], json.loads(sys.argv[2])
answer = lambda words: json.loads(subprocess.run([program, *words], stdout=subprocess.PIPE).stdout)
Draft202012Validator.check_schema(answer(["schema"]))
for words in calls:
    schema = answer(["schema", words[0]])
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(answer(words))
try:
    Draft202012Validator(answer(["schema", "status"])).validate({"run_key": 1})
except Exception as error:
    print(type(error).__name__)
`;
  const words = ["/usr/bin/python3", "-c", script, BINARY, JSON.stringify(calls)];
  expect(await box.execute(words)).toMatchObject({ code: 0, stderr: "", stdout: "ValidationError\n" });
});
