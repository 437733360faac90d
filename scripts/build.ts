/** Builds dist/orchesjob: one executable with everything in it. */
import { $ } from "bun";
import manifest from "../package.json";

/** Our flags, for every executable that is compared with ours as well. See docs/performance.md for what each brings. */
export const COMPILE_FLAGS = [
  "--compile",
  "--minify",
  "--bytecode",
  "--format=esm",
  // What main.ts imports only when it is needed stays a piece of its own, which `--version` does not load.
  "--splitting",
  // A command is over before compiled code would pay; only what loops for long is compiled.
  "--compile-jit-policy=20",
  // Nothing in the caller's directory is read or run (law 9).
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--no-compile-autoload-tsconfig",
  "--no-compile-autoload-package-json",
];

export interface Build {
  /** The checkout, with a slash at its end. */
  readonly root: string;
  readonly commit: string;
  /** The same name gives the same bytes: Bun writes it into the executable. */
  readonly outfile: string;
  /** What Bun calls it; without: the machine that builds. */
  readonly target?: string;
}

/** Compiles the executable. Throws with what Bun says where it cannot, e.g. because it cannot get the target's base. */
export async function compile({ root, commit, outfile, target }: Build): Promise<void> {
  const defines = { ORCHESJOB_VERSION: manifest.version, ORCHESJOB_COMMIT: commit };
  const flags = Object.entries(defines).flatMap(([name, value]) => [
    "--define",
    `${name}=${JSON.stringify(value)}`,
  ]);
  if (target !== undefined) flags.push(`--target=${target}`);
  const { exitCode, stderr } =
    await $`${process.execPath} build ${COMPILE_FLAGS} ${flags} ${root}src/main.ts --outfile ${outfile}`
      .quiet()
      .nothrow();
  if (exitCode !== 0) throw new Error(`cannot build ${target ?? outfile}: ${stderr.toString().trim()}`);
}

/** The commit of a checkout, as the executable names it; `unknown` where there is no git. */
export async function readCommit(root: string): Promise<string> {
  const { stdout } = await $`git -C ${root} rev-parse --short=12 HEAD`.quiet().nothrow();
  return stdout.toString().trim() || "unknown";
}

if (import.meta.main) {
  const root = new URL("..", import.meta.url).pathname;
  try {
    await compile({ root, commit: await readCommit(root), outfile: `${root}dist/orchesjob` });
    console.log("built dist/orchesjob");
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}
