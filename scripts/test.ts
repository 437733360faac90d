/**
 * The whole check, as `bun run test`: installs from the lock file, checks formatting and types, builds, runs every test.
 * Words after it go to `bun test` (a file, -t NAME, --rerun-each=N). Ends with `N passed, N failed, N skipped`.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";

const root = new URL("..", import.meta.url).pathname;
const bun = process.execPath;

async function step(title: string, command: readonly string[]): Promise<number> {
  console.log(`--- ${title}`);
  return Bun.spawn([bun, ...command], { cwd: root, stdio: ["ignore", "inherit", "inherit"] }).exited;
}

const PREPARATION: readonly [title: string, command: readonly string[]][] = [
  ["install from bun.lock", ["install", "--frozen-lockfile"]],
  ["formatting", ["fmt", "--no-script", "--check"]],
  ["types", ["check", "--no-script"]],
  ["types of the page", ["check", "--no-script", "-p", "src/page"]],
  ["build", ["scripts/build.ts"]],
];

for (const [title, command] of PREPARATION) {
  if ((await step(title, command)) === 0) continue;
  console.log(`${title} failed, so no test ran`);
  console.log("0 passed, 1 failed");
  process.exit(1);
}

const scratch = mkdtempSync(join(tmpdir(), "orchesjob-report-"));
const report = join(scratch, "junit.xml");
const words = process.argv.slice(2);
const code = await step("tests", [
  "test",
  // Two more than there are processors: many tests only wait for processes or for time to pass.
  `--parallel=${availableParallelism() + 2}`,
  "--reporter=junit",
  `--reporter-outfile=${report}`,
  ...words,
]);
const totals = /<testsuites[^>]*>/.exec(readFileSync(report, "utf8"))?.[0] ?? "";
rmSync(scratch, { recursive: true });
const count = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(totals)?.[1] ?? 0);
const failed = count("failures") + count("errors");
const skipped = count("skipped");
const passed = count("tests") - failed - skipped;
// A test runner that failed without a failed test (a crash, for example) must not look like a success.
console.log(
  `${passed} passed, ${code !== 0 && failed === 0 ? 1 : failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`,
);
process.exitCode = code !== 0 || passed === 0 ? 1 : 0;
