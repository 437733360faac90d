/** Holds each answer that a test gets against the schema that the program itself prints. */
import { findProblems, formOf, type JsonSchema } from "./json-schema.ts";

let known: JsonSchema | undefined;

/** The schemas of all answers. */
export function answerSchemas(program: string): JsonSchema {
  if (known !== undefined) return known;
  const { exitCode, stdout, stderr } = Bun.spawnSync([program, "schema"], {
    env: { ...process.env, ORCHESJOB_DEBUG: "" },
  });
  if (exitCode !== 0) throw new Error(`orchesjob schema: exit ${exitCode}: ${stderr.toString()}`);
  return (known = JSON.parse(stdout.toString()) as JsonSchema);
}

/**
 * Throws if the answer is not what the schema says. `words`: the command line, without the program. Ignores what is no JSON, for
 * example a table, or the part of an answer that a killed program wrote.
 */
export function checkAnswer(program: string, words: readonly string[], stdout: string): void {
  if (!/^[[{]/.test(stdout)) return;
  const [name = ""] = words;
  const schemas = answerSchemas(program);
  const definitions = schemas["$defs"] as Record<string, JsonSchema>;
  const answer = definitions[name === "abort" ? "cancel" : name];
  if (answer === undefined || name === "schema") return;
  const isJsonLines = stdout.startsWith('{"');
  const own = words.includes("--") ? words.slice(0, words.indexOf("--")) : words;
  const isChosen = own.some((word) => /^--fields(=|$)/.test(word));
  const schema = isChosen ? chosenFields(schemas) : isJsonLines ? definitions["job"]! : answer;
  const problems = (isJsonLines ? stdout.trimEnd().split("\n") : [stdout])
    .flatMap(parse)
    .flatMap((value) => findProblems(schemas, value, schema));
  if (problems.length > 0)
    throw new Error(`the answer of ${words.join(" ")} is not as declared:\n${problems.join("\n")}`);
}

/** Jobs of which only some fields are printed, with one that only `--fields` knows. */
function chosenFields(schemas: JsonSchema): JsonSchema {
  const { properties } = formOf(schemas, (schemas["$defs"] as Record<string, JsonSchema>)["job"]!);
  const some = { type: "object", properties: { ...properties, took: { type: ["number", "null"] } } };
  return { anyOf: [some, { type: "array", items: some }] };
}

function parse(text: string): readonly unknown[] {
  try {
    return [JSON.parse(text)];
  } catch {
    return [];
  }
}
