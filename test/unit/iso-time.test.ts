/** Dates and times are read as Python reads them: both get the same texts, made at random from a seed. */
import { expect, test } from "bun:test";
import { type IsoTime, readIsoTime } from "../../src/cli/options/iso-time.ts";
import { testWith } from "../support/needs.ts";

const SEED = 20_260_131;
const COUNT = 30_000;

/** Mulberry32. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Texts of every form, among them days and hours that do not exist; every other one with a typing error. */
function* texts(): Generator<string> {
  const next = random(SEED);
  const below = (limit: number) => Math.floor(next() * limit);
  const pick = <T>(values: readonly T[]) => values[below(values.length)]!;
  const two = (limit: number) => String(below(limit)).padStart(2, "0");
  const year = () =>
    pick(["0001", "1969", "1970", "1999", "2000", "2020", "2026", "9999", "0000", `2${two(100)}4`]);
  const clock = (): string => {
    const colon = pick(["", ":"]);
    const fraction = next() < 0.5 ? "" : pick([".", ","]) + String(below(10 ** 9)).slice(0, 1 + below(9));
    return pick([
      two(25),
      `${two(25)}${colon}${two(61)}`,
      `${two(25)}${colon}${two(61)}${colon}${two(60)}${fraction}`,
    ]);
  };
  for (let made = 0; made < COUNT; made++) {
    const dash = pick(["", "-"]);
    const day = pick([
      () => `${year()}${dash}${two(14)}${dash}${two(33)}`,
      () => `${year()}${dash}W${two(55)}${dash}${below(9)}`,
      () => `${year()}${dash}W${two(55)}`,
    ])();
    const zone = pick(["", "", "Z", `+${clock()}`, `-${clock()}`, "+00:00", "-00"]);
    let text = next() < 0.2 ? day : `${day}${pick(["T", " "])}${clock()}${zone}`;
    if (made % 2 === 1) {
      const at = below(text.length + 1);
      const typed = pick(["", ..."0123456789-:+.,TWZ "]);
      text = text.slice(0, at) + typed + text.slice(at + below(2));
    }
    yield text;
  }
}

const PYTHON = `
import sys, json
from datetime import datetime, timedelta
epoch = datetime(1, 1, 1)
answers = []
for text in json.load(sys.stdin):
    try:
        time = datetime.fromisoformat(text)
        offset = time.utcoffset()
        wall = (time.replace(tzinfo=None) - epoch) // timedelta(microseconds=1) - 62135596800000000
        answers.append([wall, None if offset is None else offset // timedelta(microseconds=1)])
    except ValueError:
        answers.append(None)
json.dump(answers, sys.stdout)
`;

/** Forms that only Python accepts, beyond ISO 8601. */
const PYTHONS_OWN: readonly [what: string, pattern: RegExp][] = [
  ["any character between day and time", /^(\d{4}-\d\d-\d\d|\d{8}|\d{4}-?W\d\d(-?\d)?)[^T ]/],
  [
    "a fraction of an hour or a minute, taken for one of a second",
    /[T ](\d\d|\d\d:?\d\d)[.,]\d|[+-](\d\d|\d\d:?\d\d)[.,]\d/,
  ],
  ["a fraction without its mark", /[T ]\d{7,}|[+-]\d{7,}$/],
  ["more than 59 minutes or seconds of an offset", /[+-]\d\d:?(\d\d:?)?[6-9]\d/],
  ["anything after six digits of a fraction", /[.,]\d{6,}[^\dZ+-].*[Z+-]/],
];

/** Drops the character in front of an offset; Python accepts any. */
function withoutStray(text: string): string {
  return text.replace(/.([Z+-][\d:.,]*)$/, "$1");
}

/**
 * Forms that only orchesjob accepts: RFC 3339's z and t, a leap second, and a space before an offset, as `date` and
 * `git` print it.
 */
const OURS = /z$|t| [Z+-]|:60|60([.,Z+-]|$)/;

testWith(
  ["python3.11"],
  "every form that Python accepts is read alike, and no other",
  async () => {
    const given = [...texts()];
    const child = Bun.spawnSync(["python3", "-c", PYTHON], { stdin: Buffer.from(JSON.stringify(given)) });
    const answers = JSON.parse(child.stdout.toString()) as ([number, number | null] | null)[];
    const differing: unknown[] = [];
    let taken = 0;
    given.forEach((text, index) => {
      const ours = readIsoTime(text);
      const answer = answers[index]!;
      const theirs: IsoTime | undefined =
        answer === null ? undefined : { wall: answer[0], offset: answer[1] ?? undefined };
      if (Bun.deepEquals(ours, theirs)) taken += ours === undefined ? 0 : 1;
      else if (ours === undefined && PYTHONS_OWN.some(([, pattern]) => pattern.test(text))) return;
      else if (ours === undefined && Bun.deepEquals(readIsoTime(withoutStray(text)), theirs)) return;
      else if (theirs === undefined && OURS.test(text)) return;
      else differing.push({ text, ours, theirs });
    });
    expect(differing).toEqual([]);
    // Enough of both kinds.
    expect(taken).toBeGreaterThan(COUNT / 5);
    expect(given.length - taken).toBeGreaterThan(COUNT / 5);
  },
  60_000,
);

test.each([
  ["2026-01-31", "2026-01-31T00:00:00Z", undefined],
  ["20260131T1830", "2026-01-31T18:30:00Z", undefined],
  ["2026-W01-1", "2025-12-29T00:00:00Z", undefined],
  ["2026-W53-7", "2027-01-03T00:00:00Z", undefined],
  ["2026-01-31 18:30:15,5 +0900", "2026-01-31T18:30:15.5Z", 9],
  ["2026-01-31T18:30:15.123456789-03:30", "2026-01-31T18:30:15.123456Z", -3.5],
  ["1969-12-31t23:59:60z", "1969-12-31T23:59:59Z", 0],
])("%s", (text, wall, hours) => {
  expect(readIsoTime(text)).toEqual({
    wall: Number(Temporal.Instant.from(wall).epochNanoseconds / 1000n),
    offset: hours === undefined ? undefined : hours * 3_600_000_000,
  });
});
