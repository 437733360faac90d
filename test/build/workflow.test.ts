/** The GitHub workflow runs what a developer runs, with the Bun version that the project requires. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import manifest from "../../package.json";
import { ROOT, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, string>>;
}

const workflow = Bun.YAML.parse(readFileSync(join(ROOT, ".github/workflows/ci.yml"), "utf8")) as {
  readonly jobs: Readonly<Record<string, { readonly steps: readonly Step[] }>>;
};
const steps = Object.values(workflow.jobs).flatMap((job) => job.steps);

test("actions are pinned by version, and Bun has the project's version", () => {
  const used = steps.flatMap(({ uses }) => (uses === undefined ? [] : [uses]));
  expect(used.filter((name) => !/@v\d+\.\d+\.\d+$/.test(name))).toEqual([]);
  const versions = steps.flatMap((step) => step.with?.["bun-version"] ?? []);
  expect(versions).toEqual(versions.map(() => manifest.engines.bun.replace(">=", "")));
  expect(versions).not.toEqual([]);
});

test("every script that the workflow runs exists", () => {
  const named = steps.flatMap(({ run = "" }) => /^bun run (\S+)/.exec(run)?.[1] ?? []);
  expect(named).toEqual(["release"]);
  for (const name of named) expect(manifest.scripts).toHaveProperty(name);
});
