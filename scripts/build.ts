/** Builds dist/orchesjob: one executable with everything in it. */
import { dirname, relative, resolve } from "node:path";
import { $, type BunPlugin } from "bun";
import manifest from "../package.json";

export interface Executable {
  readonly source: string;
  /** Absolute. The same name gives the same bytes: Bun writes it into the executable. */
  readonly outfile: string;
  /** What Bun calls it; without: the machine that builds. */
  readonly target?: string;
  readonly define?: Readonly<Record<string, string>>;
}

/**
 * Compiles with our settings, also what is compared with ours. See docs/performance-log.md for what each brings. Throws with
 * what Bun says where it cannot, e.g. because it cannot get the target's base.
 */
export async function compileExecutable({ source, outfile, target, define = {} }: Executable): Promise<void> {
  try {
    await Bun.build({
      entrypoints: [source],
      target: "bun",
      format: "esm",
      minify: true,
      bytecode: true,
      // What is imported only when it is needed stays a piece of its own.
      splitting: true,
      plugins: [copyForEachRoot(dirname(dirname(source)))],
      define,
      compile: {
        outfile,
        ...(target === undefined ? {} : { target: target as Bun.Build.CompileTarget }),
        // A command is over before compiled code would pay; only what loops for long is compiled.
        jitPolicy: 20,
        // Nothing in the caller's directory is read or run (law 9).
        autoloadDotenv: false,
        autoloadBunfig: false,
        autoloadTsconfig: false,
        autoloadPackageJson: false,
      },
    });
  } catch (error) {
    const reasons = error instanceof AggregateError ? error.errors : [error];
    throw new Error(`cannot build ${target ?? outfile}: ${reasons.map(String).join("; ")}`);
  }
}

/**
 * Gives each file of src/entrypoints/ all modules that it imports for itself. A module that several roots share would be a
 * piece that each of them loads, with all that any of them uses; so each has what it needs itself, and in one piece. Only
 * one root is ever loaded by a process.
 */
const copyForEachRoot = (checkout: string): BunPlugin => ({
  name: "copy-for-each-root",
  setup(build) {
    // A module's path is followed by `?` and the root that it is for; relative, so that another checkout gives the same bytes.
    build.onResolve({ filter: /^\.\.?\// }, ({ path, importer }) => {
      const [importing = "", rootOfImporting] = importer.split("?");
      const file = resolve(checkout, dirname(importing), path);
      const root = rootOfImporting ?? /\/src\/entrypoints\/(\w+)\.ts$/.exec(file)?.[1];
      return root === undefined
        ? undefined
        : { path: `${relative(checkout, file)}?${root}`, namespace: "copy" };
    });
    const read = (path: string) => Bun.file(resolve(checkout, path.slice(0, path.lastIndexOf("?")))).text();
    build.onLoad({ filter: /\.ts\?/, namespace: "copy" }, async ({ path }) => ({
      contents: await read(path),
      loader: "ts",
    }));
    // What is imported as text. Bun's own way makes a piece of it, which costs 0.5 M instructions to load.
    build.onLoad({ filter: /./, namespace: "copy" }, async ({ path }) => ({
      contents: `export default ${JSON.stringify(await read(path))}`,
      loader: "js",
    }));
  },
});

export interface Build {
  /** The checkout, with a slash at its end. */
  readonly root: string;
  readonly commit: string;
  readonly outfile: string;
  readonly target?: string;
}

/** Compiles orchesjob. Throws as compileExecutable. */
export function compile({ root, commit, ...rest }: Build): Promise<void> {
  const define = {
    ORCHESJOB_VERSION: JSON.stringify(manifest.version),
    ORCHESJOB_COMMIT: JSON.stringify(commit),
  };
  return compileExecutable({ ...rest, source: `${root}src/main.ts`, define });
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
