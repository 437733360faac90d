/** Documents of JSON Schema, made from the declarations of the answers. */
import type { Command } from "../command.ts";
import type { Keywords } from "./schema.ts";

const DIALECT = "https://json-schema.org/draft/2020-12/schema";

/** The schema of the answer of one command; undefined if it prints no JSON. */
export async function schemaOf(command: Command, version: string): Promise<Keywords | undefined> {
  const schema = await command.answer?.();
  if (schema === undefined) return undefined;
  return {
    $schema: DIALECT,
    title: `orchesjob ${command.name}, version ${version}`,
    ...schema.keywords,
    ...definitions(schema.definitions ?? {}),
  };
}

/** The schemas of all answers, in `$defs`: a command's under its name, and `job`. */
export async function schemaOfAll(commands: readonly Command[], version: string): Promise<Keywords> {
  const answers = await Promise.all(
    commands.map(async ({ name, answer }) => ({ name, schema: await answer?.() })),
  );
  const given = answers.flatMap(({ name, schema }) => (schema === undefined ? [] : [{ name, schema }]));
  const shared = Object.assign({}, ...given.map(({ schema }) => schema.definitions));
  return {
    $schema: DIALECT,
    title: `orchesjob, version ${version}`,
    ...definitions({ ...shared, ...Object.fromEntries(given.map(({ name, schema }) => [name, schema])) }),
  };
}

function definitions(schemas: Readonly<Record<string, { readonly keywords: Keywords }>>): Keywords {
  const entries = Object.entries(schemas);
  if (entries.length === 0) return {};
  return { $defs: Object.fromEntries(entries.map(([name, { keywords }]) => [name, keywords])) };
}
