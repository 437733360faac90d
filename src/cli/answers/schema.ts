/**
 * Declares the JSON of an answer: the form of each field and what it means. JSON Schema (2020-12) is made from it at run time,
 * and the type of the view at compile time. A view imports only types from here, so that `start` and `status` load none of it.
 */

/** Keywords of JSON Schema. */
export type Keywords = Readonly<Record<string, unknown>>;

/** A JSON value of the type `T`. */
export interface Schema<T = unknown> {
  readonly keywords: Keywords;
  /** The schemas that the keywords refer to, by name. */
  readonly definitions?: Definitions;
  /** Never set: it only carries the type. */
  readonly type?: T;
}

export type Definitions = Readonly<Record<string, Schema>>;

/** The JSON value that a schema describes. */
export type Value<S> = S extends Schema<infer T> ? T : never;

type Fields = Readonly<Record<string, Schema>>;
type Values<F> = { readonly [K in keyof F]: Value<F[K]> };

export const text = (description: string): Schema<string> => simple("string", description);
export const flag = (description: string): Schema<boolean> => simple("boolean", description);
export const integer = (description: string): Schema<number> => simple("integer", description);
export const decimal = (description: string): Schema<number> => simple("number", description);

function simple<T>(type: string, description: string): Schema<T> {
  return { keywords: { type, description } };
}

/** ISO 8601, with offset. */
export function time(description: string): Schema<string> {
  return { keywords: { type: "string", format: "date-time", description } };
}

export function oneOf<const T extends string>(values: readonly T[], description: string): Schema<T> {
  return { keywords: { type: "string", enum: values, description } };
}

/** For a value of a simple type; not for objects and references. */
export function orNull<T>({ keywords }: Schema<T>): Schema<T | null> {
  const { type, enum: values, ...rest } = keywords as { type: string; enum?: readonly unknown[] };
  return {
    keywords: { type: [type, "null"], ...(values === undefined ? {} : { enum: [...values, null] }), ...rest },
  };
}

export function listOf<T>(items: Schema<T>, description: string): Schema<readonly T[]> {
  return {
    keywords: { type: "array", description, items: items.keywords },
    definitions: definitionsOf([items]),
  };
}

/** An object whose fields have names of the user's own. */
export function mapOf<T>(values: Schema<T>, description: string): Schema<Readonly<Record<string, T>>> {
  return { keywords: { type: "object", description, additionalProperties: values.keywords } };
}

/** An object with these fields; those of `optional` are left out in some cases. Later versions may add fields. */
export function object<const F extends Fields, const O extends Fields = Record<never, never>>(
  description: string,
  fields: F,
  optional?: O,
): Schema<Values<F> & Partial<Values<O>>> {
  const properties = Object.entries<Schema>({ ...fields, ...optional });
  return {
    keywords: {
      type: "object",
      description,
      properties: Object.fromEntries(properties.map(([name, { keywords }]) => [name, keywords])),
      required: Object.keys(fields),
    },
    definitions: definitionsOf(properties.map(([, schema]) => schema)),
  };
}

/** A schema that is printed once, under its name, and referred to where it is used. */
export function named<T>(name: string, schema: Schema<T>): Schema<T> {
  return {
    keywords: { $ref: `#/$defs/${name}` },
    definitions: { ...schema.definitions, [name]: schema as Schema },
  };
}

/** An object with the fields of both. */
export function both<A, B>(a: Schema<A>, b: Schema<B>): Schema<A & B> {
  return { keywords: { allOf: [a.keywords, b.keywords] }, definitions: definitionsOf([a, b]) };
}

/** An answer that has one of these forms, depending on the options. */
export function anyOf<const S extends readonly Schema[]>(...forms: S): Schema<Value<S[number]>> {
  return { keywords: { anyOf: forms.map(({ keywords }) => keywords) }, definitions: definitionsOf(forms) };
}

function definitionsOf(schemas: readonly Schema[]): Definitions {
  return Object.assign({}, ...schemas.map(({ definitions }) => definitions));
}
