/** `bun run bench [--quick] [SECTION...]`: how fast and small the built program is, against floors taken in the same run. */
import { $ } from "bun";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileExecutable } from "../build.ts";
import { measureFleet } from "./fleet.ts";
import { measureGrowth } from "./growth.ts";
import { latencySection } from "./latency.ts";
import { measureMemory } from "./memory.ts";
import { measureOutput } from "./output.ts";
import { isMissed, machine, type Section, toText } from "./report.ts";
import { measureRest } from "./rest.ts";
import { SIZES } from "./sizes.ts";
import { measureThroughput } from "./throughput.ts";

const root = new URL("../..", import.meta.url).pathname;
const words = process.argv.slice(2);
const form = words.includes("--tiny") ? "tiny" : words.includes("--quick") ? "quick" : "full";
const asked = words.filter((word) => !word.startsWith("--"));
const sizes = SIZES[form];
const scratch = mkdtempSync(join(tmpdir(), "orchesjob-bench-"));
const binary = join(root, "dist/orchesjob");
const empty = join(scratch, "empty");
const setting = { binary, empty, scratch };

const SECTIONS: Readonly<Record<string, () => Promise<Section>>> = {
  latency: () => latencySection({ ...setting, ...sizes.latency }),
  growth: () => measureGrowth({ ...setting, ...sizes.growth }),
  throughput: () => measureThroughput({ ...setting, ...sizes.throughput }),
  memory: () => measureMemory({ ...setting, ...sizes.memory }),
  rest: () => measureRest({ ...setting, ...sizes.rest }),
  fleet: () => measureFleet({ ...setting, ...sizes.fleet }),
  output: () => measureOutput({ ...setting, ...sizes.output }),
};

async function prepare(): Promise<void> {
  // The test of the benchmark has just built it, and other tests are using it.
  if (form !== "tiny") await $`${process.execPath} scripts/build.ts`.cwd(root).quiet();
  const source = join(scratch, "empty.ts");
  writeFileSync(source, "");
  await compileExecutable({ source, outfile: empty });
}

/** Measures a section. Reports a failure in its place, so that the other sections are still measured. */
async function measure(name: string, section: () => Promise<Section>): Promise<Section> {
  try {
    return await section();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { title: name, rows: [], notes: [`NOT MEASURED: ${reason}`] };
  }
}

try {
  for (const name of asked)
    if (!(name in SECTIONS)) throw new Error(`no section ${name}: ${Object.keys(SECTIONS)}`);
  await prepare();
  console.log(
    `${machine()}${form === "full" ? "" : `; the ${form} form: smaller numbers than the full one`}`,
  );
  const sections: Section[] = [];
  for (const [name, section] of Object.entries(SECTIONS)) {
    if (asked.length > 0 && !asked.includes(name)) continue;
    const begin = performance.now();
    const measured = await measure(name, section);
    const seconds = Math.round((performance.now() - begin) / 1000);
    sections.push(measured);
    console.log(`\n${toText(measured)}\n\n(${name}: ${seconds} s)`);
  }
  const missed = sections.flatMap(({ title, rows }) =>
    rows.filter(isMissed).map((row) => `${title}: ${row.name}`),
  );
  console.log(
    missed.length === 0
      ? "\nnothing is missed"
      : `\nmissed:\n${missed.map((each) => `- ${each}`).join("\n")}`,
  );
  const report = join(root, "dist/bench.json");
  mkdirSync(join(root, "dist"), { recursive: true });
  const content = { machine: machine(), date: new Date().toISOString(), form, sizes, sections, missed };
  if (form !== "tiny") {
    writeFileSync(report, `${JSON.stringify(content, null, 2)}\n`);
    console.log(`\nwritten to ${report}`);
  }
} finally {
  rmSync(scratch, { recursive: true });
}
