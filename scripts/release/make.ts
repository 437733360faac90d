/** Makes the files of a release, once, from the sources beside it. scripts/release.ts makes them twice and compares. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { join } from "node:path";
import manifest from "../../package.json";
import { compile } from "../build.ts";
import type { Target } from "../targets.ts";
import { type File, gzip, tar } from "./archive.ts";
import { debianPackage } from "./deb.ts";
import { generate } from "./generated.ts";
import { readPlatform, tryJob } from "./inspect.ts";

/** Taken from the sources as they are. */
const DOCUMENTS = ["README.md", "LICENSE", "CHANGELOG.md", "docs"];

export interface Plan {
  /** The checkout, with a slash at its end. */
  readonly root: string;
  /** Must not exist yet. */
  readonly output: string;
  readonly commit: string;
  /** Seconds: the time of every file, so that the time of the build appears nowhere. */
  readonly epoch: number;
  readonly targets: readonly Target[];
  /** Called with a line for each file that is made. */
  readonly say: (line: string) => void;
}

/**
 * Makes the release. Throws if it cannot make something, or something is not what its name says; then `output` is incomplete.
 */
export async function makeRelease(plan: Plan): Promise<void> {
  const scratch = `${plan.output}.scratch`;
  rmSync(scratch, { recursive: true, force: true });
  try {
    mkdirSync(plan.output, { recursive: true });
    const here = join(scratch, "orchesjob");
    await compile({ root: plan.root, commit: plan.commit, outfile: here });
    const documents = DOCUMENTS.flatMap((path) => readSource(plan.root, path));
    const files = {
      archive: [...documents, ...generate(here, "/usr/local/bin/orchesjob")],
      debian: [...documents, ...generate(here, "/usr/bin/orchesjob")],
    };
    for (const target of plan.targets) await makeTarget(plan, target, files, scratch);
    write(plan, "install.sh", readFileSync(join(plan.root, "scripts/install.sh")));
    chmodSync(join(plan.output, "install.sh"), 0o755);
    write(plan, "SHA256SUMS", checksums(plan.output));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function readSource(root: string, path: string): File[] {
  const names =
    path.includes(".") || path === "LICENSE"
      ? [path]
      : [...new Bun.Glob("**").scanSync({ cwd: join(root, path) })].sort().map((name) => `${path}/${name}`);
  return names.map((name) => ({ path: name, content: new Uint8Array(readFileSync(join(root, name))) }));
}

/** The files beside the executable. The units name its path, which differs in a package. */
interface Files {
  readonly archive: readonly File[];
  readonly debian: readonly File[];
}

async function makeTarget(plan: Plan, target: Target, files: Files, scratch: string): Promise<void> {
  const outfile = join(scratch, target.name, "orchesjob");
  await compile({ root: plan.root, commit: plan.commit, outfile, target: target.bun });
  const executable = new Uint8Array(readFileSync(outfile));
  const platform = readPlatform(executable);
  if (platform !== target.name.replace("-baseline", ""))
    throw new Error(`what Bun built for ${target.name} is for ${platform}`);
  const here = readPlatform(new Uint8Array(await Bun.file(process.execPath).slice(0, 4096).arrayBuffer()));
  const ran = tryJob(outfile);
  if (!ran && platform === here)
    throw new Error(`the executable for ${target.name} does not run here (${here})`);
  rmSync(outfile);

  const name = `orchesjob-${manifest.version}-${target.name}`;
  const all = [...files.archive, { path: "orchesjob", content: executable, executable: true }];
  const size = write(plan, `${name}.tar.gz`, gzip(tar(all, `${name}/`, plan.epoch)));
  plan.say(
    `${target.name.padEnd(20)}${size}  ${ran ? "ran a job here" : `not run: this machine (${here}) cannot`}`,
  );
  if (target.debian === undefined) return;
  const deb = debianPackage({
    architecture: target.debian,
    executable,
    files: files.debian,
    epoch: plan.epoch,
  });
  plan.say(
    `${`${target.debian}.deb`.padEnd(20)}${write(plan, `orchesjob_${manifest.version}_${target.debian}.deb`, deb)}`,
  );
}

/** Writes a file; returns its size as text. */
function write({ output }: Plan, name: string, content: Uint8Array | string): string {
  writeFileSync(join(output, name), content);
  return `${(content.length / 1e6).toFixed(1)} MB`.padStart(8);
}

/** Returns the checksums in the format of sha256sum. */
function checksums(directory: string): string {
  return readdirSync(directory)
    .sort()
    .map(
      (name) =>
        `${createHash("sha256")
          .update(readFileSync(join(directory, name)))
          .digest("hex")}  ${name}\n`,
    )
    .join("");
}
