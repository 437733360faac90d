/**
 * The documents name every check, metric and variable of the program, and only messages, files and functions that
 * exist.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readDocument } from "../support/console.ts";
import { ROOT, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const SOURCE = join(ROOT, "src");

const sources = [...new Bun.Glob("**/*.ts").scanSync(SOURCE)]
  .map((file) => readFileSync(join(SOURCE, file), "utf8"))
  .join("\n");

function section(document: string, heading: string): string {
  const text = readDocument(document);
  const begin = text.indexOf(`\n${heading}\n`);
  if (begin < 0) throw new Error(`${document} has no heading "${heading}"`);
  const level = heading.split(" ")[0]!.length;
  const rest = text.slice(begin + heading.length + 2);
  const end = rest.search(new RegExp(`^#{1,${level}} `, "m"));
  return end < 0 ? rest : rest.slice(0, end);
}

/** The rows of the tables in a text, without their heads. */
function rows(text: string): string[][] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| ---"))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

test("every message in the index of troubleshooting.md is one of the program's", () => {
  const quoted = rows(section("docs/troubleshooting.md", "### orchesjob prints an error"))
    // Except Bun's messages, and an exit code.
    .filter(([message]) => !/Bun|^`run` exits/.test(message!))
    .flatMap(([message]) => [...message!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!))
    // Except a command, and messages that the program composes from two texts.
    .filter((text) => text !== "clean" && text !== "no job of run key" && !text.startsWith("orchesjob "));
  expect(quoted.length).toBeGreaterThan(20);
  const unknown = quoted.filter((text) => !text.split(" … ").every((part) => has(part)));
  expect(unknown).toEqual([]);
});

/** Whether a message in the sources has this text, where `…` stands for a value. */
function has(text: string): boolean {
  const pattern = text
    .split("…")
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join("\\$\\{[^}]*\\}+");
  return new RegExp(pattern).test(sources);
}

test("operations.md names every check of doctor, in the same order, and every metric", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
  const { checks } = JSON.parse((await box.run(["doctor"])).stdout) as {
    checks: readonly { check: string }[];
  };
  const named = (heading: string) =>
    rows(section("docs/operations.md", heading)).flatMap(([name]) => /^`(\w+)`$/.exec(name!)?.[1] ?? []);
  // What there is in a fleet alone: test/fleet/doctor.test.ts and metrics.test.ts.
  const isOfFleet = (name: string) => /^(orchesjob_)?fleet_/.test(name);
  expect(named("## Health checks").filter((name) => !isOfFleet(name))).toEqual(
    checks.map(({ check }) => check),
  );
  const { stdout } = await box.run(["metrics"]);
  const metrics = [...stdout.matchAll(/^# TYPE (\w+) /gm)].map((match) => match[1]!);
  expect(metrics.length).toBeGreaterThan(5);
  expect(
    named("## Monitoring")
      .filter((name) => !isOfFleet(name))
      .sort(),
  ).toEqual(metrics.sort());
});

test("CONTRIBUTING.md names only files, functions and constants that exist", () => {
  const text = readDocument("CONTRIBUTING.md").replace(/^```(?!\n)[\s\S]*?^```/gm, "");
  const paths = [...text.matchAll(/(?<![\w/.])(?:src|test|scripts|docs|\.ci)\/[\w./-]*\w/g)].map(
    (match) => match[0],
  );
  expect(paths.length).toBeGreaterThan(50);
  const missing = paths.filter((path) => !/N{3,}|NAME/.test(path) && !existsSync(join(ROOT, path)));
  expect([...new Set(missing)]).toEqual([]);

  const code = ["src", "test", "scripts"]
    .flatMap((folder) =>
      [...new Bun.Glob("**/*.{ts,sql}").scanSync(join(ROOT, folder))].map((file) => join(ROOT, folder, file)),
    )
    .filter((path) => path !== import.meta.path)
    .map((path) => readFileSync(path, "utf8"))
    .join("\n");
  const names = [...text.matchAll(/`([a-z]+[A-Z]\w+|[A-Z][a-z]+[A-Z]\w+|[A-Z]{4,}(?:_[A-Z]+)*|#\w+)`/g)].map(
    (match) => match[1]!,
  );
  expect(names.length).toBeGreaterThan(20);
  const unknown = names.filter((name) => name !== "NAME" && !new RegExp(`${name}\\b`).test(code));
  expect([...new Set(unknown)]).toEqual([]);
});

test("operations.md names every variable that a command and its hook get", async () => {
  await using box = new Sandbox();
  const hook = "env > hook; mv hook hook.env";
  await box.json(["start", "--run-key", "k", "--sync", "--on-exit", hook, "--", "sh", "-c", "env > command"]);
  await until("the hook has ended", async () =>
    (await box.run(["status", "--run-key", "k"])).stdout.includes('"on_exit_code": 0'),
  );
  const found = ["command", "hook.env"].flatMap((name) => [
    ...readFileSync(join(box.directory, name), "utf8").matchAll(/^(ORCHESJOB_\w+)=/gm),
  ]);
  const table = section("docs/operations.md", "## Environment variables");
  // The sandbox passes on the variables of whoever runs the tests.
  const names = new Set(found.map((match) => match[1]!).filter((name) => !(name in process.env)));
  expect(names.size).toBeGreaterThan(5);
  expect([...names].filter((name) => !table.includes(`\`${name}\``))).toEqual([]);
});
