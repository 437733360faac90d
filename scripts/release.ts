/**
 * `bun run release`: makes dist/release, with an archive for each target of scripts/targets.ts, Debian packages, the install
 * script and SHA256SUMS. It makes everything a second time, from the commit, in another directory: the bytes must be the same.
 * It fails if it cannot build one of the requested targets. Needs git, and the npm registry for the targets' bases.
 */
import { $ } from "bun";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { readCommit } from "./build.ts";
import { makeRelease } from "./release/make.ts";
import { selectTargets, TARGETS } from "./targets.ts";

const USAGE = `usage: bun run release [--targets NAME,NAME,...] [--once] [--output DIR]

  --targets  only these of: ${TARGETS.map((target) => target.name).join(", ")}
  --once     build once only, without checking that a second build gives the same bytes
  --output   where to put the release (default: dist/release); replaces what is there

For sources without git, --commit NAME and the variable SOURCE_DATE_EPOCH give the commit and its time.
`;

const root = new URL("..", import.meta.url).pathname;

interface Source {
  readonly commit: string;
  /** Seconds. */
  readonly epoch: number;
}

/** Returns the commit to build. Throws if anything is uncommitted: everybody must be able to build it again. */
async function readSource(commit: string | undefined): Promise<Source> {
  if (commit !== undefined) return { commit, epoch: Number(process.env["SOURCE_DATE_EPOCH"]) };
  const changed = await $`git -C ${root} status --porcelain`.quiet().text();
  if (changed !== "")
    throw new Error(`there are uncommitted changes; commit or remove them first:\n${changed.trimEnd()}`);
  const epoch = Number(await $`git -C ${root} log -1 --format=%ct`.quiet().text());
  return { commit: await readCommit(root), epoch };
}

/**
 * Builds the same commit in another directory, with another time zone, umask and time, and with the targets' bases fetched
 * again. Throws if anything differs.
 */
async function buildAgain({ commit, epoch }: Source, targets: string, first: string): Promise<void> {
  const scratch = `${first}.again`;
  rmSync(scratch, { recursive: true, force: true });
  try {
    const [copy, second] = [join(scratch, "sources"), join(scratch, "second")];
    mkdirSync(copy, { recursive: true });
    await $`git -C ${root} archive HEAD | tar -xf - -C ${copy}`.quiet();
    const words = [
      "scripts/release.ts",
      "--once",
      "--commit",
      commit,
      "--targets",
      targets,
      "--output",
      second,
    ];
    const child = Bun.spawn(["sh", "-c", 'umask 077; exec "$@"', "sh", process.execPath, ...words], {
      cwd: copy,
      env: {
        ...process.env,
        SOURCE_DATE_EPOCH: String(epoch),
        TZ: "Pacific/Chatham",
        BUN_INSTALL_CACHE_DIR: join(scratch, "cache"),
      },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const [code, errors] = await Promise.all([child.exited, new Response(child.stderr).text()]);
    if (code !== 0) throw new Error(`the second build failed: ${errors.trim()}`);
    const sums = (directory: string) =>
      readFileSync(join(directory, "SHA256SUMS"), "utf8").trimEnd().split("\n");
    const expected = new Set(sums(first));
    const other = sums(second).filter((line) => !expected.delete(line));
    if (other.length > 0 || expected.size > 0)
      throw new Error(`the second build gave different bytes:\n${[...expected, ...other].sort().join("\n")}`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function release(): Promise<void> {
  const { values } = parseArgs({
    options: {
      targets: { type: "string", default: TARGETS.map((target) => target.name).join(",") },
      once: { type: "boolean", default: false },
      output: { type: "string", default: join(root, "dist/release") },
      commit: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return console.log(USAGE);
  const source = await readSource(values.commit);
  const targets = selectTargets(values.targets.split(","));
  const output = resolve(values.output);
  const part = `${output}.part`;
  rmSync(part, { recursive: true, force: true });
  try {
    console.log(
      `commit ${source.commit} of ${new Date(source.epoch * 1000).toISOString()}, Bun ${Bun.version}`,
    );
    await makeRelease({ root, output: part, ...source, targets, say: (line) => console.log(line) });
    if (values.once) console.log("built once, so reproducibility was not checked");
    else {
      await buildAgain(source, values.targets, part);
      console.log("built again in another directory, with the bases fetched again: the same bytes");
    }
    if (existsSync(output)) rmSync(output, { recursive: true });
    renameSync(part, output);
    console.log(`see ${output}`);
  } finally {
    rmSync(part, { recursive: true, force: true });
  }
}

try {
  await release();
} catch (error) {
  console.error(`release: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
