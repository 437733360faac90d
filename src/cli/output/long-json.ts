/** Answers with texts in them that are too long to be held: JSON in pieces, the same bytes as from one. */

/** A text as its bytes, in parts that may end within a character. What is no UTF-8 becomes U+FFFD. */
export class LongText {
  constructor(readonly chunks: Iterable<Uint8Array>) {}
}

/** As toJson of an object, of whose values some may be LongText. */
export function* jsonPieces(fields: Readonly<Record<string, unknown>>): Generator<string> {
  let before = "{\n";
  for (const [name, value] of Object.entries(fields)) {
    yield `${before}  ${JSON.stringify(name)}: `;
    if (value instanceof LongText) yield* quotedPieces(value);
    // A line feed in JSON is never part of a text.
    else yield JSON.stringify(value, null, 2).replaceAll("\n", "\n  ");
    before = ",\n";
  }
  yield "\n}\n";
}

function* quotedPieces({ chunks }: LongText): Generator<string> {
  // The output as it is, a mark of its byte order included.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const quoted = (text: string) => JSON.stringify(text).slice(1, -1);
  yield '"';
  for (const chunk of chunks) yield quoted(decoder.decode(chunk, { stream: true }));
  yield `${quoted(decoder.decode())}"`;
}
