/** README.md and docs/ tell the truth: what they show is what comes, and they name nothing that is not there. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import manifest from "../../package.json";
import { findDifference, readDocument, readSteps, typeSteps } from "../support/console.ts";
import { BINARY, ROOT, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const DOCUMENTS = [
  "CONTRIBUTING.md",
  "docs/guarantees.md",
  "docs/troubleshooting.md",
  "docs/operations.md",
  "docs/systemd.md",
];

describe.each(DOCUMENTS)("%s", (name) => {
  test("links to nothing that is not there", () => {
    const links = [...readDocument(name).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)];
    const broken = links.filter(([, path, anchor]) => {
      const target = path === "" ? name : join(dirname(name), path!);
      return (
        !existsSync(join(ROOT, target)) ||
        (anchor !== undefined && !headings(readDocument(target)).includes(anchor))
      );
    });
    expect(broken.map((link) => link[0])).toEqual([]);
  });

  test("shows what its commands really answer", async () => {
    await using box = new Sandbox();
    const all = readSteps(readDocument(name));
    const steps = all.filter((step) => Bun.which("sqlite3") !== null || !step.command.startsWith("sqlite3 "));
    if (steps.length < all.length)
      console.error(`not typed, for want of sqlite3: ${all.length - steps.length}`);
    expect(steps.length).toBeGreaterThan(5);
    const typed = await typeSteps(box, steps);
    const wrong = typed.map((step, index) => findDifference(step, typed[index + 1]));
    expect(wrong.filter((difference) => difference !== undefined).join("\n\n")).toBe("");
  });

  test("names no command and no option that is not there", () => {
    const help = helpOfAll();
    const unknown = readCalls(readDocument(name)).filter(
      ({ command, flags }) =>
        !help.has(command) || flags.some((flag) => !new RegExp(`${flag}\\b`).test(help.get(command)!)),
    );
    expect(unknown).toEqual([]);
  });
});

test("README.md names every command and every option", () => {
  const text = readDocument("README.md");
  const missing = [...helpOfAll()]
    .filter(([command]) => command !== "abort")
    .flatMap(([command, help]) =>
      [`orchesjob ${command}`, ...(help.match(/^ {2}--[a-z-]+/gm) ?? []).map((flag) => flag.trim())].filter(
        (word) => !new RegExp(`${word}\\b`).test(text),
      ),
    );
  expect([...new Set(missing)]).toEqual([]);
});

test("README.md names every field of the answers", async () => {
  await using box = new Sandbox();
  const answers = [
    await box.json<object>(["start", "--run-key", "fields", "--sync", "--", "true"]),
    await box.json<object>(["result", "--run-key", "fields"]),
    await box.json<object>(["start", "--run-key", "cancelled", "--", "sleep", "600"]),
    await box.json<object>(["cancel", "--run-key", "cancelled"]),
  ];
  const text = readDocument("README.md");
  const missing = answers.flatMap(Object.keys).filter((field) => !text.includes(`\`${field}\``));
  expect([...new Set(missing)]).toEqual([]);
});

test("CONTRIBUTING.md names every script of the project, and no other", () => {
  const named = readDocument("CONTRIBUTING.md").matchAll(/\b(?:bun|bun@[\d.]+) run ([a-z:]+)/g);
  expect([...new Set([...named].map((match) => match[1]!))].sort()).toEqual(
    Object.keys(manifest.scripts).sort(),
  );
});

/** The anchors that a forge makes of a document's headings. */
function headings(markdown: string): string[] {
  return [...markdown.replace(/^```[\s\S]*?^```/gm, "").matchAll(/^#+ (.*)$/gm)].map((match) =>
    match[1]!
      .toLowerCase()
      .replace(/[^\w\s-]/g, "")
      .trim()
      .replaceAll(" ", "-"),
  );
}

function helpOfAll(): Map<string, string> {
  const names = [...answer("--help").matchAll(/^ {2}([a-z]+) {2,}/gm)].map((match) => match[1]!);
  return new Map([...names, "abort"].map((command) => [command, answer(command, "--help")]));
}

function answer(...words: readonly string[]): string {
  return Bun.spawnSync([BINARY, ...words]).stdout.toString();
}

/** Calls of orchesjob in blocks and in `code`, with the options before their `--`. */
function readCalls(markdown: string): { command: string; flags: string[] }[] {
  const blocks = [...markdown.matchAll(/^```(?:console|sh)\n([\s\S]*?)^```/gm)].map((match) => match[1]!);
  const inline = [...markdown.replace(/^```[\s\S]*?^```/gm, "").matchAll(/`([^`\n]+)`/g)].map(
    (match) => match[1]!,
  );
  return [...blocks, ...inline]
    .flatMap((text) =>
      text
        .replaceAll("\n> ", " ")
        .replaceAll("\\\n", " ")
        .split(/[\n|;&"]/),
    )
    .map((text) => /(?:^|[\s(])orchesjob ([a-z]+)\b(.*)/.exec(text))
    .filter((match) => match !== null)
    .map((match) => ({
      command: match[1]!,
      flags: match[2]!.split(/ -- /)[0]!.match(/(?<= )--[a-z][a-z-]+/g) ?? [],
    }));
}
