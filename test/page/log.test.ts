/** What the page does with logs, without a browser: a window over bytes of any size, colours, and what cannot be seen. */
import { expect, test } from "bun:test";
import { classesOf, PLAIN, readAnsi } from "../../src/page/log/ansi.ts";
import { CHUNK, LogWindow } from "../../src/page/log/window.ts";
import { commandLine, visible, visibleParts } from "../../src/page/text.ts";

/** A log in memory, and how many bytes were read of it. */
function logOf(content: string | Uint8Array) {
  const log = { bytes: typeof content === "string" ? new TextEncoder().encode(content) : content, read: 0 };
  const window = new LogWindow(async (from, max) => {
    expect(max).toBeLessThanOrEqual(CHUNK);
    const bytes = log.bytes.subarray(from, from + max);
    log.read += bytes.length;
    return { bytes, size: log.bytes.length };
  });
  return { log, window };
}

const textOf = (window: LogWindow) => window.lines.map(({ text }) => text);

test("the window begins with the end, grows backwards line by line, and loses nothing", async () => {
  const all = Array.from({ length: 20_000 }, (_, index) => `line ${index} ${"é".repeat(index % 40)}`);
  const { log, window } = logOf(`${all.join("\n")}\n`);
  await window.end();
  expect(textOf(window).at(-1)).toBe("line 19999 ééééééééééééééééééééééééééééééééééééééé");
  expect(log.read).toBeLessThan(3 * CHUNK);

  const seen = new Map<number, string>();
  for (;;) {
    for (const line of window.lines) seen.set(line.at, line.text);
    expect(window.lines.length).toBeLessThanOrEqual(4_500);
    if (window.isAtStart) break;
    await window.before();
  }
  expect([...seen].sort(([a], [b]) => a - b).map(([, text]) => text)).toEqual(all);

  // And forwards again.
  while (!window.isAtEnd) await window.after();
  expect(textOf(window).at(-1)).toBe(all.at(-1)!);
});

test("what is added appears, also to a line that has not ended", async () => {
  const { log, window } = logOf("one\r\ntwo");
  await window.end();
  expect(textOf(window)).toEqual(["one", "two"]);
  log.bytes = new TextEncoder().encode("one\r\ntwo and more\nthree\n");
  await window.after();
  expect(textOf(window)).toEqual(["one", "two and more", "three"]);
  await window.after();
  expect(textOf(window)).toEqual(["one", "two and more", "three"]);
});

test("an empty log that fills, and a log of line feeds alone", async () => {
  const { log, window } = logOf("");
  await window.end();
  expect(window.lines).toEqual([]);
  log.bytes = new TextEncoder().encode("first\n");
  await window.end();
  expect(textOf(window)).toEqual(["first"]);

  const feeds = logOf("\n".repeat(300_000));
  await feeds.window.end();
  expect(feeds.window.to).toBe(300_000);
  expect(feeds.window.lines.length).toBeLessThanOrEqual(4_500);
});

test("a place in the middle shows its line whole; a line of megabytes is cut between characters", async () => {
  const { window } = logOf(Array.from({ length: 50_000 }, (_, index) => `row ${index}\n`).join(""));
  await window.around(250_004);
  const line = window.lines.find(({ at, next }) => at <= 250_004 && next > 250_004);
  expect(line?.text).toMatch(/^row \d+$/);
  expect(window.lines.every(({ text }) => /^row \d+$/.test(text))).toBe(true);

  const long = logOf("日".repeat(400_000));
  await long.window.around(600_000);
  await long.window.before();
  await long.window.after();
  expect(textOf(long.window).join("")).toMatch(/^日+$/);
});

test("colours become classes and go on in the next line; all other sequences disappear", () => {
  const first = readAnsi("\u001b[1;31mred\u001b[0m plain \u001b[42mgreen", PLAIN);
  expect(first.spans.map(({ text, style }) => [text, classesOf(style)])).toEqual([
    ["red", "fg-1 bold"],
    [" plain ", ""],
    ["green", "bg-2"],
  ]);
  expect(classesOf(readAnsi("next", first.end).spans[0]!.style)).toBe("bg-2");
  const hidden =
    "\u001b]0;title\u0007a\u001b[2J\u001b[10;5Hb\u001b]8;;http://evil.example\u001b\\c\u001b(Bd\u009b31me";
  expect(
    readAnsi(hidden, PLAIN)
      .spans.map(({ text }) => text)
      .join(""),
  ).toBe("abcde");
  // 256 colours and true colour keep their numbers out of the text.
  expect(
    readAnsi("\u001b[38;5;9mx\u001b[38;2;1;2;3my\u001b[mz", PLAIN).spans.map(({ style }) => classesOf(style)),
  ).toEqual(["fg-9", "", ""]);
  // A sequence without an end takes the rest, in linear time.
  expect(readAnsi(`a\u001b]${"x".repeat(2_000_000)}`, PLAIN).spans.map(({ text }) => text)).toEqual(["a"]);
});

test("what cannot be seen is shown as an escape; much of the same is counted", () => {
  expect(visible("a\u202eb\u0000\n\u200b\u{e0041}")).toBe("a\\u202eb\\x00\\n\\u200b\\u{e0041}");
  expect(visibleParts(`\t\u0000\u0000x${"\u0007".repeat(1000)}`).map(({ text }) => text)).toEqual([
    "\t",
    "\\x00\\x00",
    "x",
    "\\x07×1000",
  ]);
  expect(commandLine(["sh", "-c", "echo 'a b'", ""])).toBe(`sh -c 'echo '\\''a b'\\''' ''`);
});
