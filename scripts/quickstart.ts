/**
 * `bun run quickstart`: builds dist/orchesjob and runs a first real job with it, in a state directory that it deletes at the
 * end. Shows every command as one types it, with its real answer; exits 1 if an answer is not as promised. `--no-build` uses
 * the existing dist/orchesjob. The build needs nothing from npm, so nothing is installed.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import manifest from "../package.json";

const root = new URL("..", import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), "orchesjob-quickstart-"));
const environment = {
  ...process.env,
  ORCHESJOB_HOME: scratch,
  PATH: `${join(root, "dist")}:${process.env["PATH"] ?? ""}`,
};
const INPUT = "package.json";

let interrupted = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => (interrupted = true));

function promise(kept: boolean, what: string): void {
  if (!kept) throw new Error(`not as promised: ${what}`);
}

/** Shows a command and its answer; returns its stdout. Throws unless it exits 0. */
async function type(line: string): Promise<string> {
  console.log(`\n$ ${line}`);
  const child = Bun.spawn(["sh", "-c", line], {
    cwd: root,
    env: environment,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const answer = await new Response(child.stdout).text();
  process.stdout.write(answer);
  const code = await child.exited;
  if (interrupted) throw new Error("interrupted");
  promise(code === 0, `exit ${child.exitCode ?? child.signalCode}: ${line}`);
  return answer;
}

interface Answer {
  readonly job_id: string;
  readonly status: string;
  readonly exit_code: number | null;
  readonly existing: boolean;
}

async function ask(line: string): Promise<Answer> {
  return JSON.parse(await type(line)) as Answer;
}

async function build(): Promise<void> {
  if (!Bun.semver.satisfies(Bun.version, manifest.engines.bun))
    throw new Error(
      `this is Bun ${Bun.version}, and the build needs ${manifest.engines.bun}: npx --yes bun@1.4.5 run quickstart`,
    );
  const code = await Bun.spawn([process.execPath, "scripts/build.ts"], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  }).exited;
  if (code !== 0) throw new Error("the build failed");
}

async function tour(): Promise<void> {
  console.log(
    "\n# For this tour only: the program in PATH, and a state directory that is deleted at its end.",
  );
  console.log(`$ cd ${root}`);
  console.log(`$ export PATH="$PWD/dist:$PATH" ORCHESJOB_HOME=${scratch}`);

  console.log("\n# A job: a command under a run key. --sync waits for its end.");
  const first = await ask(`orchesjob start --run-key checksum --sync -- sha256sum ${INPUT}`);
  promise(first.status === "SUCCEEDED" && first.exit_code === 0, "the job has succeeded");

  console.log("\n# What orchesjob knows of it, now and later.");
  const known = await ask("orchesjob status --run-key checksum");
  promise(known.job_id === first.job_id && known.status === "SUCCEEDED", "status knows the job");

  console.log("\n# What it wrote.");
  const written = await type("orchesjob logs --run-key checksum");
  const digest = new Bun.CryptoHasher("sha256").update(readFileSync(join(root, INPUT))).digest("hex");
  promise(written === `${digest}  ${INPUT}\n`, "logs has what the command has written");

  console.log("\n# A longer job. Without --sync, start answers as soon as the command runs.");
  const long = await ask("orchesjob start --run-key nightly -- sleep 600");
  promise(!long.existing && long.status === "RUNNING", "the long job runs");

  console.log('\n# The same again, like a retry: nothing starts twice. See "existing": true.');
  const again = await ask("orchesjob start --run-key nightly -- sleep 600");
  promise(again.existing && again.job_id === long.job_id, "the second start gives the job that runs");

  console.log("\n# End it.");
  const cancelled = await ask("orchesjob cancel --run-key nightly");
  promise(cancelled.status === "CANCELLED", "the long job is cancelled");
}

/** The workers of our jobs: they have the state directory in their command lines. */
function workers(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(scratch);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Leaves no process and no directory behind, even if the tour broke off in the middle. */
async function cleanUp(): Promise<void> {
  if (workers().length > 0)
    await Bun.$`orchesjob cancel --run-key nightly --grace-seconds 1`.env(environment).quiet().nothrow();
  const deadline = performance.now() + 20_000;
  while (workers().length > 0 && performance.now() < deadline) await Bun.sleep(10);
  const left = workers();
  promise(left.length === 0, `processes ${left.join(", ")} are left`);
  rmSync(scratch, { recursive: true });
}

try {
  try {
    if (!process.argv.includes("--no-build")) await build();
    await tour();
  } finally {
    await cleanUp();
  }
  console.log(
    "\nEverything is as promised, and the state directory of this tour is deleted. Next: orchesjob --help, README.md",
  );
} catch (error) {
  console.error(`quickstart: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
