/**
 * Runs before the test files, in each process of `bun test` (bunfig.toml), and rebuilds the executable if a source is
 * newer. Of processes that start together one builds; the others wait for its lock, and then find the executable up
 * to date.
 */
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { compile, readCommit } from "../../scripts/build.ts";
import { lockDescriptor } from "../../src/linux/file-lock.ts";
import { closeFile, openFile } from "../../src/linux/file.ts";

const root = new URL("../..", import.meta.url).pathname;
const dist = join(root, "dist");
const binary = join(dist, "orchesjob");

/** Everything that the executable is built from. */
const SOURCES = ["src", "scripts/build.ts", "package.json"];

/**
 * The last change of a file, or of anything in a directory including names, in ms since 1970; 0 if it does not exist.
 */
function lastChange(path: string): number {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined) return 0;
  const below = facts.isDirectory() ? readdirSync(path).map((name) => lastChange(join(path, name))) : [];
  return Math.max(facts.mtimeMs, ...below);
}

function isCurrent(): boolean {
  return lastChange(binary) > Math.max(...SOURCES.map((path) => lastChange(join(root, path))));
}

async function build(): Promise<void> {
  mkdirSync(dist, { recursive: true });
  const path = join(dist, "build.lock");
  const lock = openFile(path, "append");
  try {
    lockDescriptor(lock, path);
    if (isCurrent()) return;
    console.error("building dist/orchesjob");
    const begin = new Date();
    // Beside the old one, so that rename replaces it; under the same name, because Bun writes the name into the
    // executable.
    const draft = mkdtempSync(join(dist, "build-"));
    try {
      await compile({ root, commit: await readCommit(root), outfile: join(draft, "orchesjob") });
      // A source that changes during the build is newer than this time, and causes another build.
      utimesSync(join(draft, "orchesjob"), begin, begin);
      renameSync(join(draft, "orchesjob"), binary);
    } finally {
      rmSync(draft, { recursive: true });
    }
  } finally {
    closeFile(lock);
  }
}

if (process.env["ORCHESJOB_BINARY"] === undefined && !isCurrent()) await build();
