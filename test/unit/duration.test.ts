/** Messages about a limit print a duration as it was given. */
import { expect, test } from "bun:test";
import { formatExactly, readDuration } from "../../src/job/duration.ts";

test.each(["0.25s", "59.999s", "1m30s", "1h30m15s", "1d2h3m4s", "36600d"])("%s", (text) => {
  expect(formatExactly(readDuration(text)!)).toBe(text);
});

test("zero, and seconds alone", () => {
  expect(formatExactly(0)).toBe("0s");
  expect(formatExactly(readDuration("90")!)).toBe("1m30s");
});
