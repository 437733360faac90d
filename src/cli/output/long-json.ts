/** Generates JSON in pieces, for answers with texts that are too long for memory. The bytes are those of toJson. */

/** A text as chunks of bytes, which may end within a character. Invalid UTF-8 becomes U+FFFD. */
export class LongText {
  constructor(readonly chunks: Iterable<Uint8Array>) {}
}

/** As toJson, for an answer whose texts may be LongText. */
export function* jsonPieces<T>(fields: {
  readonly [K in keyof T]: T[K] | (string extends T[K] ? LongText : never);
}): Generator<string> {
  let before = "{\n";
  for (const [name, value] of Object.entries(fields)) {
    yield `${before}  ${JSON.stringify(name)}: `;
    if (value instanceof LongText) yield* quotedPieces(value);
    // Each line feed here is indentation: in a JSON string it would be escaped.
    else yield JSON.stringify(value, null, 2).replaceAll("\n", "\n  ");
    before = ",\n";
  }
  yield "\n}\n";
}

function* quotedPieces({ chunks }: LongText): Generator<string> {
  // ignoreBOM: keeps a byte order mark, so that the text is the output unchanged.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const quoted = (text: string) => JSON.stringify(text).slice(1, -1);
  yield '"';
  for (const chunk of chunks) yield quoted(decoder.decode(chunk, { stream: true }));
  yield `${quoted(decoder.decode())}"`;
}
