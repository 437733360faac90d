/** The architecture rules of docs/architecture.md: the rooms, the direction of imports, and what may be used where. */
import { expect, test } from "bun:test";
import { Glob } from "bun";
import { dirname, join, relative } from "node:path";
import { ROOT } from "../support/sandbox.ts";

const SOURCE = join(ROOT, "src");

/** The rooms, from top to bottom. A file imports from its own room and from the rooms below it. */
const ROOMS = [
  "main.ts",
  ..."entrypoints app cli doctor serve agent jobs worker hooks systemd fleet processes state store linux job page".split(
    " ",
  ),
];

/** Stricter limits: everything that these rooms and files may import from. */
const NARROW: Readonly<Record<string, readonly string[]>> = {
  // main.ts picks the entry point without loading any other part of the program.
  "main.ts": ["entrypoints", "app"],
  // The page runs in a browser.
  page: [],
  // The store knows no files and no processes.
  store: ["job"],
};

/** Where a module that reaches outside the program may be used, through import or process.getBuiltinModule. */
const BUILT_IN: Readonly<Record<string, readonly string[]>> = {
  // Its client of PostgreSQL.
  bun: ["fleet/postgres"],
  "bun:ffi": ["linux/ffi"],
  "bun:sqlite": ["store/sqlite"],
  "node:fs": ["linux", "state", "processes", "systemd/logind.ts", "store/sqlite/legacy"],
  "node:http": ["serve/server.ts"],
  "node:net": ["serve"],
  "node:os": ["linux/signals.ts"],
  "node:tty": ["linux/self.ts"],
};

const MOST_LINES = 250;

const files = [...new Glob("**/*.ts").scanSync(SOURCE)].filter((file) => !file.endsWith(".d.ts"));
const texts = new Map(
  await Promise.all(files.map(async (file) => [file, await Bun.file(join(SOURCE, file)).text()] as const)),
);
const transpiler = new Bun.Transpiler({ loader: "ts" });

function importsOf(file: string): string[] {
  const text = texts.get(file)!;
  // The transpiler drops type imports, so they are read from the text.
  const types = [...text.matchAll(/import type .*? from "([^"]+)"/gs)].map((match) => match[1]!);
  return [...transpiler.scanImports(text).map((found) => found.path), ...types];
}

/** The project's own files that a file imports. */
function neighboursOf(file: string): string[] {
  return importsOf(file)
    .filter((path) => path.startsWith("."))
    .map((path) => relative(SOURCE, join(SOURCE, dirname(file), path)));
}

function roomOf(file: string): string {
  return file.split("/")[0]!;
}

test("imports point downwards", () => {
  const wrong = files.flatMap((file) => {
    const room = roomOf(file);
    const allowed = [room, ...(NARROW[room] ?? ROOMS.slice(ROOMS.indexOf(room) + 1))];
    return neighboursOf(file)
      .filter((target) => !allowed.includes(roomOf(target)))
      .map((target) => `${file} imports ${target}`);
  });
  expect(files.length).toBeGreaterThan(100);
  expect(wrong).toEqual([]);
});

test("every file belongs to a room", () => {
  expect(files.filter((file) => !ROOMS.includes(roomOf(file)))).toEqual([]);
});

test("there are no import cycles", () => {
  const neighbours = new Map(files.map((file) => [file, neighboursOf(file)]));
  const reaches = (from: string, goal: string, seen = new Set<string>()): boolean =>
    (neighbours.get(from) ?? []).some((next) => {
      if (next === goal) return true;
      if (seen.has(next)) return false;
      seen.add(next);
      return reaches(next, goal, seen);
    });
  expect(files.filter((file) => reaches(file, file))).toEqual([]);
});

test("every file is imported by another", async () => {
  const imported = new Set(files.flatMap(neighboursOf));
  const document = await Bun.file(join(SOURCE, "page/index.html")).text();
  const scripts = [...document.matchAll(/src="\.\/([^"]+)"/g)].map((match) => `page/${match[1]}`);
  expect(files.filter((file) => !imported.has(file)).sort()).toEqual(["main.ts", ...scripts].sort());
});

test("the fleet is loaded only where there is one: nothing imports it outright that a process of one host loads", () => {
  const outright = (file: string) =>
    transpiler
      .scanImports(texts.get(file)!)
      .filter(({ kind, path }) => kind === "import-statement" && path.startsWith("."))
      .map(({ path }) => relative(SOURCE, join(SOURCE, dirname(file), path)))
      .filter((path) => texts.has(path));
  const loaded = new Set(files.filter((file) => file.startsWith("entrypoints/")));
  for (const file of loaded) for (const next of outright(file)) loaded.add(next);
  expect(loaded.size).toBeGreaterThan(100);
  expect([...loaded].filter((file) => /^(fleet|agent)\//.test(file))).toEqual([]);
});

test("modules that reach outside the program are used only where the list allows it", () => {
  const outside = files.flatMap((file) => {
    const loaded = [...texts.get(file)!.matchAll(/getBuiltinModule\("([^"]+)"\)/g)].map((match) => match[1]!);
    const modules = [...importsOf(file), ...loaded].filter((path) => !path.startsWith("."));
    return modules
      .filter((module) => !BUILT_IN[module]?.some((place) => file === place || file.startsWith(`${place}/`)))
      .map((module) => `${file} uses ${module}`);
  });
  expect(outside).toEqual([]);
});

test("only linux/ffi calls dlopen, and only store/sqlite and fleet/postgres have SQL", () => {
  const using = (pattern: RegExp, ...places: readonly string[]) =>
    files.filter((file) => pattern.test(texts.get(file)!) && !places.some((place) => file.startsWith(place)));
  expect(using(/\bdlopen\(/, "linux/ffi/")).toEqual([]);
  expect(
    using(
      /\b(select .+ from|insert( or \w+)? into|update \w+ set|delete from|pragma \w+|create (table|view|trigger)) /,
      "store/sqlite/",
      "fleet/postgres/",
    ),
  ).toEqual([]);
});

test(`no file has more than ${MOST_LINES} lines`, () => {
  const long = files.filter((file) => texts.get(file)!.split("\n").length - 1 > MOST_LINES);
  expect(long).toEqual([]);
});

test("docs/architecture.md shows the tree as it is", async () => {
  const document = await Bun.file(join(ROOT, "docs/architecture.md")).text();
  const tree = /^```\nsrc\/\n([\s\S]*?)^```/m.exec(document)![1]!;
  const drawn: string[] = [];
  const above: string[] = [];
  for (const line of tree.trimEnd().split("\n")) {
    const [, indent, name] = /^( +)(\S+)/.exec(line)!;
    const depth = indent!.length / 2 - 1;
    above.splice(depth, Infinity, name!.replace(/\/$/, ""));
    drawn.push(above.join("/"));
  }
  const folders = new Set(files.flatMap((file) => foldersOf(file)));
  expect(drawn.filter((path) => !path.includes("."))).toEqual(
    [...folders].sort((a, b) => drawn.indexOf(a) - drawn.indexOf(b)),
  );
  expect(drawn.filter((path) => !path.includes("/"))).toEqual(ROOMS);
  expect(drawn.filter((path) => path.endsWith(".ts") && !files.includes(path))).toEqual([]);
});

function foldersOf(file: string): string[] {
  const parts = file.split("/").slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}
