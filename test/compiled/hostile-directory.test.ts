/** orchesjob reads and executes nothing in the caller's working directory. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { testWith } from "../support/needs.ts";
import { BINARY, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/**
 * Makes a directory full of files that Bun, Node and their tools would read; each that is executed leaves a file
 * `ran`.
 */
function plant(box: Sandbox): string {
  const directory = join(box.directory, "hostile");
  const ran = JSON.stringify(join(box.directory, "ran"));
  const code = `require("node:fs").writeFileSync(${ran}, ""); process.exit(99);`;
  const environment = "ORCHESJOB_HOME=/nowhere\nPLANTED=yes\nTZ=Asia/Tokyo\nPATH=/nowhere\n";
  const files: Record<string, string> = {
    "bunfig.toml":
      'preload = ["./evil.js"]\n[run]\npreload = ["./evil.js"]\n[define]\n"process.argv" = "[]"\n',
    ".bunfig.toml": 'preload = ["./evil.js"]\n',
    "evil.js": code,
    "tsconfig.json": '{ "compilerOptions": { "paths": { "*": ["./evil.js"] }, "baseUrl": "." } }',
    "jsconfig.json": "not json",
    "package.json":
      '{ "name": "orchesjob", "type": "commonjs", "main": "./evil.js", "imports": { "#*": "./evil.js" } }',
    "bun.lock": "not a lock file",
    ".npmrc": "registry=http://127.0.0.1:1/",
    "node_modules/bun/index.js": code,
    "node_modules/bun:sqlite/index.js": code,
    "node_modules/orchesjob/index.js": code,
    orchesjob: `#!/bin/sh\ntouch ${ran}\n`,
    "main.ts": code,
    "src/main.ts": code,
    "libc.so.6": "not a library",
    "orchesjob.db": "not a database",
  };
  for (const name of [".env", ".env.local", ".env.production", ".env.development", ".env.test"])
    files[name] = environment;
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(directory, dirname(name)), { recursive: true });
    writeFileSync(join(directory, name), content, { mode: 0o755 });
  }
  return directory;
}

const COMMANDS: readonly (readonly string[])[] = [
  ["start", "--run-key", "k", "--sync", "--", "/usr/bin/env"],
  ["status", "--run-key", "k"],
  ["status", "--run-key", "k", "--all"],
  ["logs", "--run-key", "k"],
  ["clean", "--before", "2000-01-01"],
  ["--help"],
  ["--version"],
];

test("a hostile working directory changes no answer, and nothing in it is executed", async () => {
  await using box = new Sandbox();
  const cwd = plant(box);
  for (const words of COMMANDS)
    expect(await box.run(words, { cwd, env: { NODE_ENV: undefined } })).toMatchObject({
      code: 0,
      stderr: "",
    });
  const { stdout } = await box.run(["logs", "--run-key", "k"]);
  expect(stdout).toContain(`ORCHESJOB_HOME=${box.home}\n`);
  expect(stdout).not.toContain("PLANTED");
  expect(existsSync(join(box.directory, "ran"))).toBe(false);
});

/** The absolute paths of the file calls in an strace log. */
function tracedPaths(trace: string, cwd: string): string[] {
  return [...trace.matchAll(/^\d+ +\w+\((?:AT_FDCWD, )?"([^"]*)"/gm)].map((match) => resolve(cwd, match[1]!));
}

describe("no system call names a path below it", () => {
  for (const words of COMMANDS) {
    testWith(["strace"], words.join(" "), async () => {
      await using box = new Sandbox();
      const cwd = plant(box);
      await box.json(["start", "--run-key", "k", "--sync", "--", "/usr/bin/env"]);
      const output = join(box.directory, "trace");
      const strace = ["strace", "-f", "-qq", "-e", "trace=%file", "-o", output, BINARY, ...words];
      expect((await box.execute(strace, { cwd })).code).toBe(0);
      const paths = tracedPaths(readFileSync(output, "utf8"), cwd);
      expect(paths).toContain(BINARY);
      expect(paths.filter((path) => path.startsWith(`${cwd}/`))).toEqual([]);
    });
  }
});
