/**
 * Validates JSON against a schema: those keywords of JSON Schema that `orchesjob schema` uses. It is stricter in one point: a
 * field that is not declared is a problem here, while clients must ignore it.
 */

export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

/** What an object may and must have, after its references are resolved. */
interface Form {
  readonly properties: Readonly<Record<string, JsonSchema>>;
  readonly required: readonly string[];
}

const EXPECTED_KEYWORDS = new Set([
  ..."$schema $defs $ref title description type enum format items properties required".split(" "),
  ..."additionalProperties allOf anyOf".split(" "),
]);

/** ISO 8601 with offset and microseconds. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d$/;

/** Returns a line for each difference, with the path of the value; none if the value fits. */
export function findProblems(root: JsonSchema, value: unknown, schema = root, path = "$"): string[] {
  const unexpected = Object.keys(schema).filter((keyword) => !EXPECTED_KEYWORDS.has(keyword));
  if (unexpected.length > 0) throw new Error(`the validator does not know ${unexpected.join(", ")}`);
  const reference = schema["$ref"];
  if (reference !== undefined) return findProblems(root, value, resolve(root, String(reference)), path);
  const forms = schema["anyOf"] as readonly JsonSchema[] | undefined;
  if (forms !== undefined) {
    const tries = forms.map((form) => findProblems(root, value, form, path));
    return tries.some((problems) => problems.length === 0) ? [] : tries.flat();
  }
  if (schema["allOf"] !== undefined) return checkObject(root, value, formOf(root, schema), path);
  const types = [schema["type"]].flat();
  if (!types.some((type) => hasType(value, type)))
    return [`${path}: ${JSON.stringify(value)} is no ${types}`];
  if (value === null) return [];
  const allowed = schema["enum"] as readonly unknown[] | undefined;
  if (allowed !== undefined && !allowed.includes(value))
    return [`${path}: ${JSON.stringify(value)} is none of ${allowed.join(", ")}`];
  if (schema["format"] === "date-time" && !TIME.test(String(value))) return [`${path}: ${value} is no time`];
  if (Array.isArray(value))
    return value.flatMap((item, index) =>
      findProblems(root, item, schema["items"] as JsonSchema, `${path}[${index}]`),
    );
  if (typeof value !== "object") return [];
  const others = schema["additionalProperties"] as JsonSchema | undefined;
  if (others !== undefined)
    return Object.entries(value).flatMap(([name, each]) =>
      findProblems(root, each, others, `${path}.${name}`),
    );
  return checkObject(root, value, formOf(root, schema), path);
}

function checkObject(
  root: JsonSchema,
  value: unknown,
  { properties, required }: Form,
  path: string,
): string[] {
  if (!hasType(value, "object")) return [`${path}: ${JSON.stringify(value)} is no object`];
  const given = value as Record<string, unknown>;
  return [
    ...required.filter((name) => !(name in given)).map((name) => `${path}.${name} is missing`),
    ...Object.entries(given).flatMap(([name, each]) => {
      const schema = Object.hasOwn(properties, name) ? properties[name] : undefined;
      return schema === undefined
        ? [`${path}.${name} is not declared`]
        : findProblems(root, each, schema, `${path}.${name}`);
    }),
  ];
}

/** All fields of an object, in the order of their declaration. */
export function formOf(root: JsonSchema, schema: JsonSchema): Form {
  const reference = schema["$ref"];
  if (reference !== undefined) return formOf(root, resolve(root, String(reference)));
  const parts = ((schema["allOf"] ?? []) as readonly JsonSchema[]).map((part) => formOf(root, part));
  return {
    properties: Object.assign({}, ...parts.map((part) => part.properties), schema["properties"]),
    required: [
      ...parts.flatMap((part) => part.required),
      ...((schema["required"] ?? []) as readonly string[]),
    ],
  };
}

function resolve(root: JsonSchema, reference: string): JsonSchema {
  const name = /^#\/\$defs\/(\w+)$/.exec(reference)?.[1];
  const found = (root["$defs"] as Record<string, JsonSchema> | undefined)?.[name ?? ""];
  if (found === undefined) throw new Error(`the schema has no ${reference}`);
  return found;
}

function hasType(value: unknown, type: unknown): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  if (type === "integer") return Number.isSafeInteger(value);
  return typeof value === type;
}
