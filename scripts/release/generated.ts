/** The files of a release that the executable writes itself: completions, man page, systemd units. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { File } from "./archive.ts";

/** Files that the executable prints on stdout, with its arguments. */
const PRINTED: readonly { readonly path: string; readonly words: readonly string[] }[] = [
  { path: "completions/orchesjob.bash", words: ["completion", "bash"] },
  { path: "completions/_orchesjob", words: ["completion", "zsh"] },
  { path: "completions/orchesjob.fish", words: ["completion", "fish"] },
  { path: "man/orchesjob.1", words: ["man"] },
];

/** Files that it writes into a directory, with its arguments. */
const UNITS = {
  path: "systemd",
  words: (directory: string, program: string) => ["systemd", "--output", directory, "--program", program],
};

/** Generates the files with an executable for this machine. Throws if it fails, or a file is empty. */
export function generate(executable: string, program: string): readonly File[] {
  const scratch = mkdtempSync(join(tmpdir(), "orchesjob-generate-"));
  try {
    const printed = PRINTED.map(({ path, words }) => ({ path, content: ask(executable, words) }));
    ask(executable, UNITS.words(scratch, program));
    const units = readdirSync(scratch).map((name) => ({
      path: `${UNITS.path}/${name}`,
      content: new Uint8Array(readFileSync(join(scratch, name))),
    }));
    if (units.length === 0) throw new Error("orchesjob systemd wrote no unit");
    const empty = [...printed, ...units].find(({ content }) => content.length === 0);
    if (empty !== undefined) throw new Error(`${empty.path} is empty`);
    return [...printed, ...units];
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function ask(executable: string, words: readonly string[]): Uint8Array {
  // Nothing of the builder's may get in: no state directory, language or time zone.
  const environment = { PATH: "/usr/bin:/bin", TZ: "UTC", LC_ALL: "C", ORCHESJOB_HOME: "/nonexistent" };
  const { exitCode, stdout, stderr } = Bun.spawnSync([executable, ...words], { env: environment });
  if (exitCode !== 0)
    throw new Error(`orchesjob ${words.join(" ")}: exit ${exitCode}: ${stderr.toString().trim()}`);
  return new Uint8Array(stdout);
}
