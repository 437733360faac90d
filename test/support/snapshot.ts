/** Records the content of a directory, to prove later that nothing in it was overwritten. */
import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Relative path of every file with its size, mode and content hash, without SQLite's side files. */
export function snapshot(directory: string): Record<string, string> {
  const facts: Record<string, string> = {};
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (/-(wal|shm)$/.test(entry.name)) continue;
    const { mode, uid } = lstatSync(path);
    const content = entry.isFile() ? createHash("sha256").update(readFileSync(path)).digest("hex") : "";
    facts[path.slice(directory.length + 1)] = `${mode.toString(8)} ${uid} ${content}`;
  }
  return facts;
}
