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

if (import.meta.main) {
  const root = new URL("..", import.meta.url).pathname;
  const commit =
    (await $`git -C ${root} rev-parse --short=12 HEAD`.quiet().nothrow()).stdout.toString().trim() ||
    "unknown";
  const defines = { ORCHESJOB_VERSION: manifest.version, ORCHESJOB_COMMIT: commit };
  const flags = Object.entries(defines).flatMap(([name, value]) => [
    "--define",
    `${name}=${JSON.stringify(value)}`,
  ]);
  await $`bun build ${COMPILE_FLAGS} ${flags} ${root}src/main.ts --outfile ${root}dist/orchesjob`.quiet();
  console.log("built dist/orchesjob");
}
