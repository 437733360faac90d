import { bytesText } from "../../src/job/bytes.ts";
import { expect, test } from "bun:test";
import { listText } from "../../src/doctor/finding.ts";

test.each([
  [0, "0 B"],
  [512, "512 B"],
  [1024, "1.0 KiB"],
  [10 * 1024, "10 KiB"],
  [1536 * 1024 ** 2, "1.5 GiB"],
])("%d bytes are %s for people", (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

test("a long list names its first five, and how many are left", () => {
  expect(listText(["a", "b"])).toBe("a, b");
  expect(listText(["a", "b", "c", "d", "e"])).toBe("a, b, c, d, e");
  expect(listText(["a", "b", "c", "d", "e", "f", "g"])).toBe("a, b, c, d, e, and 2 more");
  expect(listText(["a", "b", "c", "d", "e"], 9)).toBe("a, b, c, d, e, and 4 more");
});
