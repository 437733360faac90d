/** `bun run bench [--quick]`: how fast the built program is, as ratios to floors taken in the same run. */
import { $ } from "bun";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COMPILE_FLAGS } from "../build.ts";
import { measureLatency } from "./latency.ts";
import { machine, toTable } from "./report.ts";

const root = new URL("../..", import.meta.url).pathname;
const quick = process.argv.includes("--quick");
const scratch = mkdtempSync(join(tmpdir(), "orchesjob-bench-"));
try {
  await $`${process.execPath} scripts/build.ts`.cwd(root).quiet();
  const source = join(scratch, "empty.ts");
  const empty = join(scratch, "empty");
  writeFileSync(source, "");
  await $`${process.execPath} build ${COMPILE_FLAGS} ${source} --outfile ${empty}`.quiet();
  const rows = await measureLatency({
    binary: join(root, "dist/orchesjob"),
    empty,
    scratch,
    rounds: quick ? 40 : 200,
  });
  console.log(`${machine()}\n\n${toTable(rows)}`);
  const report = join(root, "dist/bench.json");
  writeFileSync(
    report,
    `${JSON.stringify({ machine: machine(), date: new Date().toISOString(), rows }, null, 2)}\n`,
  );
  console.log(`\nwritten to ${report}`);
} finally {
  rmSync(scratch, { recursive: true });
}
