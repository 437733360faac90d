/**
 * Runs before the test files, in each process of `bun test` (bunfig.toml): the executable that they test is never older
 * than the sources. Processes that start together build once: the others wait at a lock, and find it built.
 */
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { compile, readCommit } from "../../scripts/build.ts";
import { lockDescriptor } from "../../src/linux/file-lock.ts";
import { closeFile, openFile } from "../../src/linux/file.ts";

const root = new URL("../..", import.meta.url).pathname;
const dist = join(root, "dist");
const binary = join(dist, "orchesjob");

/** All that the executable is made of. */
const SOURCES = ["src", "scripts/build.ts", "package.json"];

/** Last change of a file, or of anything in a directory (its names too), in ms since 1970; 0 where there is none. */
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
    // Beside it, so that it is replaced as a whole; of the same name, which Bun writes into the executable.
    const draft = mkdtempSync(join(dist, "build-"));
    try {
      await compile({ root, commit: await readCommit(root), outfile: join(draft, "orchesjob") });
      // What changes while it is built is not in it.
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
