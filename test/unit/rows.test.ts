/** Times in the rows that a Python orchesjob wrote. */
import { expect, test } from "bun:test";
import { toInstant } from "../../src/store/sqlite/rows.ts";

test.each([
  ["1.0: text with an offset", "2026-05-01T02:00:00.123456+09:00", 1_777_568_400_123_456],
  ["1.0: text, before 1970", "1960-01-01T00:00:00+00:00", -315_619_200_000_000],
  ["1.1: seconds", 1_777_568_400, 1_777_568_400_000_000],
  ["1.1: seconds, before 1970", -315_619_200, -315_619_200_000_000],
  ["upgraded: microseconds", 1_777_568_400_123_456, 1_777_568_400_123_456],
  ["upgraded: microseconds, before 1970", -315_619_200_000_000, -315_619_200_000_000],
])("%s", (_, value, instant) => {
  expect(toInstant(value)).toBe(instant);
});
