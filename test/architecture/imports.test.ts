/** The import law of the house: nothing points left. */
import { expect, test } from "bun:test";
import { Glob } from "bun";
import { dirname, join, relative } from "node:path";
import { ROOT } from "../support/sandbox.ts";

const SOURCE = join(ROOT, "src");

/** The rooms, each with the rooms that it may import from, beside itself. */
const LAW: Record<string, readonly string[]> = {
  main: ["roots", "run-command"],
  roots: ["run-command", "compose", "cli/commands", "cli", "os", "job", "version"],
  "run-command": ["compose", "cli", "os", "job", "version"],
  compose: ["cli", "runner", "store", "store/sqlite", "os", "job"],
  "cli/commands": ["cli", "runner", "store", "os", "job"],
  cli: ["runner", "store", "os", "job"],
  runner: ["store", "os", "job"],
  "store/sqlite": ["store", "job"],
  store: ["job"],
  os: ["job"],
  job: [],
  version: [],
};

function roomOf(file: string): string {
  const folder = dirname(file);
  if (folder === ".") return file.replace(/\.ts$/, "");
  return folder.startsWith("store/sqlite") ? "store/sqlite" : folder;
}

const files = [...new Glob("**/*.ts").scanSync(SOURCE)].filter((file) => !file.endsWith(".d.ts"));
const transpiler = new Bun.Transpiler({ loader: "ts" });

async function importsOf(file: string): Promise<string[]> {
  // The transpiler leaves out imports of types; the text does not.
  const text = await Bun.file(join(SOURCE, file)).text();
  const types = [...text.matchAll(/import type .*? from "([^"]+)"/gs)].map((match) => match[1]!);
  return [...transpiler.scanImports(text).map((found) => found.path), ...types];
}

test("every import points to the right", async () => {
  const broken: string[] = [];
  for (const file of files) {
    const room = roomOf(file);
    for (const path of await importsOf(file)) {
      if (!path.startsWith(".")) continue;
      const target = roomOf(relative(SOURCE, join(SOURCE, dirname(file), path)));
      if (target !== room && !LAW[room]?.includes(target)) broken.push(`${file} imports ${path}`);
    }
  }
  expect(files.length).toBeGreaterThan(20);
  expect(broken).toEqual([]);
});

test("no file imports itself by way of others", async () => {
  const imports = new Map<string, string[]>();
  for (const file of files) {
    const paths = (await importsOf(file)).filter((path) => path.startsWith("."));
    imports.set(
      file,
      paths.map((path) => relative(SOURCE, join(SOURCE, dirname(file), path))),
    );
  }
  const reaches = (from: string, goal: string, seen = new Set<string>()): boolean =>
    (imports.get(from) ?? []).some((next) => {
      if (next === goal) return true;
      if (seen.has(next)) return false;
      seen.add(next);
      return reaches(next, goal, seen);
    });
  expect(files.filter((file) => reaches(file, file))).toEqual([]);
});

test("only store/sqlite knows bun:sqlite, and only os knows the C library, processes and files", async () => {
  const homes: Record<string, string> = {
    "bun:sqlite": "store/sqlite",
    "bun:ffi": "os",
    "node:fs": "os",
    "node:child_process": "os",
  };
  const strangers: string[] = [];
  for (const file of files) {
    for (const path of await importsOf(file)) {
      const home = homes[path];
      if (home !== undefined && roomOf(file) !== home) strangers.push(`${file} imports ${path}`);
    }
  }
  expect(strangers).toEqual([]);
});

test("nothing but Bun is needed at run time", async () => {
  const outside: string[] = [];
  for (const file of files) {
    for (const path of await importsOf(file))
      if (!/^(\.|bun:|node:)/.test(path)) outside.push(`${file} imports ${path}`);
  }
  expect(outside).toEqual([]);
});
