/** Builds dist/orchesjob: one executable with everything in it. */
import { dirname, relative, resolve } from "node:path";
import { $, type BunPlugin } from "bun";
import manifest from "../package.json";
import { bundlePage, type Page } from "../src/serve/bundle-page.ts";

export interface Executable {
  readonly source: string;
  /** Absolute. Bun writes it into the executable, so only the same name gives the same bytes. */
  readonly outfile: string;
  /** Bun's name of the target; without: the machine that builds. */
  readonly target?: string;
  readonly define?: Readonly<Record<string, string>>;
  /** The page of `serve`. */
  readonly page?: Page;
}

/**
 * Compiles with our settings, also what is compared with orchesjob. docs/performance-log.md says what each setting brings.
 * Throws with Bun's message if it cannot, for example because it cannot get the target's base.
 */
export async function compileExecutable({
  source,
  outfile,
  target,
  define = {},
  page = {},
}: Executable): Promise<void> {
  try {
    await Bun.build({
      entrypoints: [source],
      target: "bun",
      format: "esm",
      minify: true,
      bytecode: true,
      // Modules that are imported only when needed stay in files of their own.
      splitting: true,
      plugins: [copyForEachEntryPoint(dirname(dirname(source)), page)],
      define,
      compile: {
        outfile,
        ...(target === undefined ? {} : { target: target as Bun.Build.CompileTarget }),
        // A command ends before compiling would pay off; only long loops are compiled.
        jitPolicy: 20,
        // Nothing in the caller's directory is read or executed (docs/guarantees.md, 9).
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
 * Gives each file of src/entrypoints/ its own copy of all modules that it imports. Bun would put a module that several entry
 * points share into a file that each of them loads, with all that any of them uses. So each entry point is in one piece, with
 * only what it needs. A process loads only one. What that saves is in docs/architecture.md. The page of `serve` becomes a
 * constant: it was bundled before, because a bundler cannot wait for another.
 */
const copyForEachEntryPoint = (checkout: string, page: Page): BunPlugin => ({
  name: "copy-for-each-entry-point",
  setup(build) {
    // A module's path is followed by `?` and its entry point. It is relative, so that another checkout gives the same bytes.
    build.onResolve({ filter: /^\.\.?\// }, ({ path, importer }) => {
      const [importing = "", importingEntryPoint] = importer.split("?");
      const file = resolve(checkout, dirname(importing), path);
      const entryPoint = importingEntryPoint ?? /\/src\/entrypoints\/(\w+)\.ts$/.exec(file)?.[1];
      return entryPoint === undefined
        ? undefined
        : { path: `${relative(checkout, file)}?${entryPoint}`, namespace: "copy" };
    });
    build.onLoad({ filter: /^src\/serve\/page\.ts\?/, namespace: "copy" }, () => ({
      contents: `export const loadPage = async () => (${JSON.stringify(page)})`,
      loader: "js",
    }));
    // Each module imports the entry point of its copy, also one that is loaded on demand. So all modules of the copy that are
    // loaded at the start are reached from the same places, and Bun puts them into one file instead of three or four.
    const entryFrom = (path: string) => {
      const [file = "", entryPoint] = path.split("?");
      const from = relative(dirname(file), `src/entrypoints/${entryPoint}.ts`);
      return from.startsWith(".") ? from : `./${from}`;
    };
    const read = (path: string) => Bun.file(resolve(checkout, path.slice(0, path.lastIndexOf("?")))).text();
    build.onLoad({ filter: /\.ts\?/, namespace: "copy" }, async ({ path }) => ({
      contents: `${await read(path)}\nimport ${JSON.stringify(entryFrom(path))};`,
      loader: "ts",
    }));
    // Imported text. Bun would make a file of its own of it, which costs 0.5 M instructions to load.
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
export async function compile({ root, commit, ...rest }: Build): Promise<void> {
  const define = {
    ORCHESJOB_VERSION: JSON.stringify(manifest.version),
    ORCHESJOB_COMMIT: JSON.stringify(commit),
  };
  const page = await bundlePage(`${root}src/page/index.html`);
  await compileExecutable({ ...rest, source: `${root}src/main.ts`, define, page });
}

/** The commit of a checkout, as the executable prints it; `unknown` if there is no git. */
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
