/** Holds each answer that a test gets against the schema that the program itself prints. */
import { findProblems, type JsonSchema } from "./json-schema.ts";

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
  const schema = (schemas["$defs"] as Record<string, JsonSchema>)[name === "abort" ? "cancel" : name];
  if (schema === undefined || name === "schema") return;
  // Chosen fields, and lines, are not the answer that the schema describes.
  if (words.includes("--fields") || words.includes("jsonl")) return;
  for (const value of parse(stdout)) {
    const problems = findProblems(schemas, value, schema);
    if (problems.length > 0)
      throw new Error(`the answer of ${words.join(" ")} is not as declared:\n${problems.join("\n")}`);
  }
}

function parse(stdout: string): readonly unknown[] {
  try {
    return [JSON.parse(stdout)];
  } catch {
    return [];
  }
}
