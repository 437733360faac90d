/** The command gets its arguments byte for byte, and orchesjob refuses what it cannot pass on exactly. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { expectFailure } from "../support/expect.ts";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";
import { shell } from "../support/shell.ts";

setDefaultTimeout(TIMEOUT_MS);

/** Prints its arguments, each followed by a NUL. */
const PRINT = ["sh", "-c", 'for word do printf "%s\\0" "$word"; done', "print"];

const ARGUMENTS: readonly [what: string, words: readonly string[]][] = [
  ["blanks and empty strings", ["", " ", "a b", "", "\t", ""]],
  [
    "what a shell would expand",
    ["*", "?", "~", "$HOME", "`id`", "$(id)", "\\", "'", '"', ";", "&&", "|", "#"],
  ],
  ["newlines and control characters", ["a\nb", "\n", "\r\n", "\x01\x1b[31m", "\x7f"]],
  ["emoji, combining characters and other scripts", ["🎉", "👩‍👩‍👧", "e\u0301", "é", "日本語", "\u{10FFFF}"]],
  ["the replacement character itself", ["\uFFFD", "a\uFFFDb"]],
  ["the byte order mark", ["behind another", "\uFEFF", "\uFEFFx"]],
  [
    "what looks like options",
    ["--", "-", "--sync", "--run-key=x", "--help", "-h", "--version", "--eval", "-e"],
  ],
  ["100 kB in one", ["x".repeat(100_000)]],
  ["100 kB in many", Array.from({ length: 1000 }, (_, index) => `${index} ${"é".repeat(48)}`)],
  ["20,000 small ones", Array.from({ length: 20_000 }, (_, index) => String(index % 10))],
];

describe("arguments arrive as they were given", () => {
  test.each(ARGUMENTS)("%s", async (_, words) => {
    await using box = new Sandbox();
    const job = await box.json(["start", "--run-key", "k", "--sync", "--", ...PRINT, ...words]);
    expect(job.status).toBe("SUCCEEDED");
    // start may shorten the command in its answer; status never does.
    expect((await box.json(["status", "--run-key", "k"])).command).toEqual([...PRINT, ...words]);
    const { stdout } = await box.run(["logs", "--run-key", "k"]);
    expect(stdout).toBe(words.map((word) => `${word}\0`).join(""));
  });
});

describe("what is not valid UTF-8 is refused with exit 2, and nothing is started", () => {
  test.each([
    ["a lone byte", "\\377"],
    ["a cut sequence", "abc\\303"],
    ["an encoded surrogate", "\\355\\240\\200"],
    ["an overlong form", "\\300\\257"],
    ["a replacement character and a lone byte", "\\357\\277\\275\\200"],
  ])("%s", async (_, bytes) => {
    await using box = new Sandbox();
    const script = `"$0" start --run-key k --sync -- touch ran "$(printf '${bytes}')"`;
    expectFailure(await shell(box, script), 2, "argument 8 is not valid UTF-8");
    expect(existsSync(`${box.directory}/ran`)).toBe(false);
    expect(existsSync(box.home)).toBe(false);
  });

  test("a run key", async () => {
    await using box = new Sandbox();
    const result = await shell(box, `"$0" start --run-key "$(printf 'k\\377')" -- true`);
    expectFailure(result, 2, "argument 3 is not valid UTF-8");
  });

  test("a state directory", async () => {
    await using box = new Sandbox();
    const script = `export ORCHESJOB_HOME="$PWD/$(printf 'h\\377')"; "$0" start --run-key k -- true`;
    expectFailure(await shell(box, script), 2, "ORCHESJOB_HOME is not valid UTF-8");
  });
});
