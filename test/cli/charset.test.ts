/** JSON has its characters as they are, or escaped to ASCII where the caller's locale cannot represent them. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { hookedJob, lineIn } from "../support/hooks.ts";
import { join } from "node:path";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const WORDS = ["é", "€", "🎉", "\uffff", "日本"];
/** A terminal obeys them, so that they are escaped in any locale. */
const CONTROLS = ["\u007f", "\u0080"];
const COMMAND = ["echo", ...WORDS, ...CONTROLS];
/** As Python's json.dumps escapes them, and those controls. */
const ESCAPED = [
  ...["\\u00e9", "\\u20ac", "\\ud83c\\udf89", "\\uffff", "\\u65e5\\u672c"],
  ...["\\u007f", "\\u0080"],
];

const NONE = { LC_ALL: undefined, LC_CTYPE: undefined, LANG: undefined };

/** The answers of `start`, `status`, `list` and `result` in a locale. */
async function answers(box: Sandbox, locale: Record<string, string>): Promise<string[]> {
  const env = { ...NONE, ...locale };
  const texts: string[] = [];
  for (const words of [
    ["start", "--run-key", "ü", "--sync", "--", ...COMMAND],
    ["status", "--run-key", "ü"],
    ["list"],
    ["result", "--run-key", "ü"],
  ]) {
    const { code, stdout, stderr } = await box.run(words, { env });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    texts.push(stdout);
  }
  return texts;
}

test.each([
  { LC_ALL: "ja_JP.EUC-JP" },
  { LC_CTYPE: "de_DE.ISO-8859-1" },
  { LANG: "de_DE.ISO-8859-15@euro" },
  { LC_ALL: "", LC_CTYPE: "ja_JP.SJIS", LANG: "C.UTF-8" },
  { LC_ALL: "C.ISO-8859-1", LANG: "de_DE.UTF-8" },
  // A glibc locale without a charset means ISO-8859-1.
  { LANG: "de_DE" },
])("JSON is in ASCII with %j", async (locale) => {
  await using box = new Sandbox();
  for (const text of await answers(box, locale)) {
    expect(text).toMatch(/^[\0-\x7f]*$/);
    for (const word of ESCAPED) expect(text).toContain(`"${word}"`);
    const told = JSON.parse(text) as { command: string[] } | { command: string[] }[];
    expect((Array.isArray(told) ? told[0]! : told).command).toEqual(COMMAND);
  }
  const { stdout } = JSON.parse((await answers(box, locale))[3]!) as { stdout: string };
  expect(stdout).toBe(`${COMMAND.slice(1).join(" ")}\n`);
});

test.each([
  {},
  { LANG: "C" },
  { LC_ALL: "POSIX" },
  { LC_ALL: "C.UTF-8" },
  { LC_CTYPE: "ja_JP.utf8", LANG: "ja_JP.EUC-JP" },
  { LC_ALL: "", LC_CTYPE: "", LANG: "de_DE.UTF-8@euro" },
])("JSON has the characters as they are with %j", async (locale) => {
  await using box = new Sandbox();
  for (const text of await answers(box, locale)) {
    for (const word of WORDS) expect(text).toContain(word);
    expect([...new Set(text.match(/\\u..../g))]).toEqual(["\\u007f", "\\u0080"]);
  }
});

test("a hook gets its JSON in ASCII if the caller's locale is not UTF-8", async () => {
  await using box = new Sandbox();
  const told = join(box.directory, "told");
  const words = ["start", "--run-key", "k", "--on-exit", `cat > ${told}`, "--sync", "--", ...COMMAND];
  await box.json(words, { env: { ...NONE, LC_ALL: "ja_JP.EUC-JP" } });
  await hookedJob(box, "k");
  const text = await lineIn(told);
  expect(text).toMatch(/^[\0-\x7f]*$/);
  expect((JSON.parse(text) as { command: string[] }).command).toEqual(COMMAND);
});
