/** The documents are true: their examples print what they show, and they name nothing that does not exist. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import manifest from "../../package.json";
import { findDifference, readDocument, readSteps, typeSteps } from "../support/console.ts";
import { BINARY, ROOT, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const DOCUMENTS = [
  "README.md",
  "CONTRIBUTING.md",
  ...[...new Bun.Glob("docs/**/*.md").scanSync(ROOT)].sort(),
];
const RECIPES = readdirSync(join(ROOT, "docs/recipes")).filter((name) => name !== "index.md");

/** These are about how the program is made, and name options of Bun and others. */
const ABOUT_BUILDING = /^CONTRIBUTING\.md|^docs\/(?:performance|architecture)/;
/** Options of other programs that the other documents name on their own. */
const FOREIGN_OPTIONS = ["--preload"];

const anchors = new Map(DOCUMENTS.map((name) => [name, headings(readDocument(name))]));
const help = helpOfAll();
const scripts = [...new Bun.Glob("scripts/**/*").scanSync(ROOT)].map(readDocument).join("\n");

describe.each(DOCUMENTS)("%s", (name) => {
  const text = readDocument(name);

  test("links only to what exists", () => {
    const links = [...prose(text).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)];
    const broken = links.filter(([, path, anchor]) => {
      const target = path === "" ? name : join(dirname(name), path!);
      return (
        !existsSync(join(ROOT, target)) ||
        (anchor !== undefined && !(anchors.get(target) ?? []).includes(anchor))
      );
    });
    expect(broken.map((link) => link[0])).toEqual([]);
  });

  // fleet.test.ts types what needs a server.
  // That one needs hosts and a server: fleet.test.ts types it.
  if (name !== "docs/fleet.md")
    test("shows what its commands really print", async () => {
      await using box = new Sandbox();
      const all = readSteps(text);
      const steps = all.filter(
        (step) => Bun.which("sqlite3") !== null || !step.command.startsWith("sqlite3 "),
      );
      if (steps.length < all.length) console.error(`not typed without sqlite3: ${all.length - steps.length}`);
      const typed = await typeSteps(box, steps);
      const wrong = typed.map((step, index) => findDifference(step, typed[index + 1]));
      expect(wrong.filter((difference) => difference !== undefined).join("\n\n")).toBe("");
    });

  test("names only commands and options that exist", () => {
    expect(unknownCalls([...blocks(text, "console", "sh"), ...inlineCode(text)])).toEqual([]);
    if (ABOUT_BUILDING.test(name)) return;
    const known = [...help.values(), scripts, ...FOREIGN_OPTIONS].join("\n");
    const options = inlineCode(text).map((code) => /^--[a-z][a-z-]*/.exec(code)?.[0]);
    expect(options.filter((flag) => flag !== undefined && !names(known, flag))).toEqual([]);
  });

  test("has blocks that a shell can read", () => {
    const wrong = blocks(text, "sh").filter(
      (block) => Bun.spawnSync(["sh", "-n"], { stdin: Buffer.from(block) }).exitCode !== 0,
    );
    expect(wrong).toEqual([]);
  });

  test("names no state directory but the recommended one", () => {
    expect(text.match(/(?:\$HOME|~|\/home\/\w+)\/jobs\b/g) ?? []).toEqual([]);
  });
});

test("README.md has every command in its table, and no other", () => {
  const rows = [...sectionOf("README.md", "Commands").matchAll(/^\| `(\w+)` /gm)].map((match) => match[1]!);
  expect([...rows, "abort"].sort()).toEqual([...help.keys()].sort());
});

test("docs/index.md links to every page", () => {
  const pages = DOCUMENTS.filter((name) => dirname(name) === "docs" && name !== "docs/index.md");
  const text = readDocument("docs/index.md");
  expect(pages.filter((name) => !text.includes(`(${basename(name)})`))).toEqual([]);
});

describe("docs/commands.md", () => {
  test("has a section for every command, and for no other", () => {
    const [rules, ...sections] = [...readDocument("docs/commands.md").matchAll(/^## (.*)$/gm)];
    expect(rules?.[1]).toBe("Rules for all commands");
    expect([...sections.map((match) => match[1]!), "abort"].sort()).toEqual([...help.keys()].sort());
  });

  test.each([...help])("has %s with all its options, and no other", (command, text) => {
    const section = sectionOf("docs/commands.md", command === "abort" ? "cancel" : command);
    const given = optionsOf(section);
    const declared = [...text.matchAll(/^ {2}(?:-[a-z], )?(--[a-z-]+)/gm)].map((match) => match[1]!).sort();
    expect(given.filter((flag) => !declared.includes(flag))).toEqual([]);
    expect(declared.filter((flag) => flag !== "--help" && !given.includes(flag))).toEqual([]);
  });
});

describe("docs/json.md", () => {
  const text = () => readDocument("docs/json.md");

  test("has every field of every answer, and no other", async () => {
    await using box = new Sandbox();
    const start = await box.json<object>(["start", "--run-key", "fields", "--sync", "--", "true"]);
    const result = await box.json<object>(["result", "--run-key", "fields"]);
    const attach = await box.json<object>(["attach", "fields", "--format", "json"]);
    await box.json(["start", "--run-key", "cancelled", "--", "sleep", "600"]);
    const cancel = await box.json<object>(["cancel", "--run-key", "cancelled"]);
    const status = await box.json<object>(["status", "--run-key", "fields"]);
    await box.json(["start", "--run-key", "once", "--strict", "--sync", "--", "true"]);
    const rerun = await box.json<object>(["rerun", "--run-key", "fields", "--sync"]);
    const more = (answer: object) => fieldsOf(answer).filter((field) => !(field in status));
    const declared: Record<string, readonly string[]> = {
      "A job": fieldsOf(status),
      "start and rerun": [...more(start), ...more(rerun)],
      result: more(result),
      attach: more(attach),
      cancel: more(cancel),
      unlock: fieldsOf(await box.json<object>(["unlock", "--run-key", "once"])),
      clean: [
        ...fieldsOf(await box.json<object>(["clean", "--older-than", "30d", "--max-log-bytes", "5G"])),
        ...fieldsOf(await box.json<object>(["clean", "fields"])),
      ],
      systemd: fieldsOf(await box.json<object>(["systemd", "--output", "units"])),
      doctor: fieldsOf(JSON.parse((await box.run(["doctor"])).stdout) as object),
    };
    for (const [heading, fields] of Object.entries(declared))
      expect({
        heading,
        fields: [...new Set(fieldTable(sectionOf("docs/json.md", heading)))].sort(),
      }).toEqual({
        heading,
        fields: [...new Set(fields)].sort(),
      });
    const all = new Set(Object.values(declared).flat());
    // What docs/fleet.md shows is compared with what is printed.
    for (const name of DOCUMENTS.filter((each) => each !== "docs/fleet.md")) {
      const shown = blocks(readDocument(name), "console", "json", "")
        .flatMap((block) => [...block.matchAll(/^ *"(\w+)": /gm)])
        .map((match) => match[1]!);
      expect({ name, unknown: shown.filter((field) => !all.has(field)) }).toEqual({ name, unknown: [] });
    }
  });

  test("has every status and every value that a field can have", () => {
    const code = new Set(inlineCode(text()));
    const sources = ["src/job/status.ts", "src/job/job.ts"].map(readDocument).join("\n");
    const lists = [...sources.matchAll(/(?:const (?:STATUSES|LOST_REASONS)|type Failure) =\s([^;]*);/g)];
    expect(lists).toHaveLength(3);
    const values = lists.flatMap((list) => [...list[1]!.matchAll(/"(\w+)"/g)].map((value) => value[1]!));
    expect(values.filter((value) => !code.has(value))).toEqual([]);
  });
});

describe("docs/recipes/", () => {
  test.each(RECIPES)("%s is run by a test, and index.md says what it is", (name) => {
    const tests = [...new Bun.Glob("test/**/*.test.ts").scanSync(ROOT)];
    expect(tests.filter((path) => readDocument(path).includes(`"${name}"`))).not.toEqual([]);
    expect(readDocument("docs/recipes/index.md")).toContain(`(${name})`);
    const text = readDocument(`docs/recipes/${name}`);
    // A sentence about orchesjob in a comment is not a call.
    expect(unknownCalls([text]).filter(({ flags }) => flags.length > 0)).toEqual([]);
    expect(text.match(/(?:\$HOME|~|\/home\/[\w-]+)\/jobs\b/g) ?? []).toEqual([]);
  });
});

test("CONTRIBUTING.md names every script of the project, and other documents name none", () => {
  const scriptsIn = (text: string) =>
    [...text.matchAll(/\b(?:bun|bun@[\d.]+) run ([a-z:]+)/g)].map((match) => match[1]!);
  const all = Object.keys(manifest.scripts).sort();
  expect([...new Set(scriptsIn(readDocument("CONTRIBUTING.md")))].sort()).toEqual(all);
  expect(
    DOCUMENTS.flatMap((name) => scriptsIn(readDocument(name))).filter((name) => !all.includes(name)),
  ).toEqual([]);
});

/** The text without its code blocks. */
function prose(markdown: string): string {
  return markdown.replace(/^```[\s\S]*?^```/gm, "");
}

/** The code blocks in these languages. */
function blocks(markdown: string, ...languages: readonly string[]): string[] {
  return [...markdown.matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)]
    .filter((match) => languages.includes(match[1]!))
    .map((match) => match[2]!);
}

function inlineCode(markdown: string): string[] {
  return [...prose(markdown).matchAll(/`([^`\n]+)`/g)].map((match) => match[1]!);
}

/** The anchors that a forge makes of a document's headings. */
function headings(markdown: string): string[] {
  return [...prose(markdown).matchAll(/^#+ (.*)$/gm)].map((match) =>
    match[1]!
      .toLowerCase()
      .replace(/[^\w\s-]/g, "")
      .trim()
      .replaceAll(" ", "-"),
  );
}

/** The text below a second-level heading, up to the next one. Throws if there is none. */
function sectionOf(name: string, heading: string): string {
  const parts = readDocument(name).split(/^## /m);
  const section = parts.find((part) => part.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`${name} has no section "${heading}"`);
  return section;
}

/** The options that stand alone in the code of a section. */
function optionsOf(section: string): string[] {
  return inlineCode(section)
    .map((code) => /^--[a-z][a-z-]*/.exec(code)?.[0])
    .filter((flag) => flag !== undefined);
}

/** The first column of the tables whose first column is headed `Field`. */
function fieldTable(section: string): string[] {
  return [...section.matchAll(/^\| Field .*\n\|.*\n((?:\|.*\n)*)/gm)]
    .flatMap((table) => table[1]!.trimEnd().split("\n"))
    .flatMap((row) => [...row.split("|")[1]!.matchAll(/`(\w+)`/g)])
    .map((match) => match[1]!);
}

/** The fields of an answer, and of the objects in it, except the names of labels, which the caller chooses. */
function fieldsOf(answer: object): string[] {
  if (Array.isArray(answer)) return answer.flatMap((each) => (isObject(each) ? fieldsOf(each) : []));
  return Object.entries(answer).flatMap(([name, value]) => [
    name,
    ...(isObject(value) && name !== "labels" ? fieldsOf(value) : []),
  ]);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function helpOfAll(): Map<string, string> {
  const names = [...answer("--help").matchAll(/^ {2}([a-z]+) {2,}/gm)].map((match) => match[1]!);
  return new Map([...names, "abort"].map((command) => [command, answer(command, "--help")]));
}

function answer(...words: readonly string[]): string {
  return Bun.spawnSync([BINARY, ...words]).stdout.toString();
}

function names(text: string, flag: string): boolean {
  return new RegExp(`${flag}(?![\\w-])`).test(text);
}

/** Calls of orchesjob in texts, with the options before their `--`, that do not match the help. */
function unknownCalls(texts: readonly string[]): { command: string; flags: string[] }[] {
  return texts
    .flatMap((text) =>
      text
        .replaceAll("\n> ", " ")
        .replaceAll("\\\n", " ")
        .split(/[\n|;&"]/),
    )
    .map((text) => /(?:^|[\s(]|\/bin\/)orchesjob ([a-z]+)\b(.*)/.exec(text))
    .filter((match) => match !== null)
    .map((match) => ({
      command: match[1]!,
      flags: match[2]!.split(/ -- /)[0]!.match(/(?<= )--[a-z][a-z-]+/g) ?? [],
    }))
    .filter(
      ({ command, flags }) =>
        command !== "help" && (!help.has(command) || flags.some((flag) => !names(help.get(command)!, flag))),
    );
}
