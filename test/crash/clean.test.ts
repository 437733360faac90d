/** A `clean` that is killed, or whose calls fail, leaves jobs whole, or parts that the next clean finishes. */
import { expect } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { directoryOfTheDead, strikeCommand } from "./acts.ts";
import { checkManners, type Scene } from "./scene.ts";
import { testSweep } from "./sweep.ts";

const CLEAN = ["clean", "--before", "2999-01-01"];

/** Jobs that succeeded, and one LOST. */
async function fullDirectory(): Promise<Scene> {
  const scene = await directoryOfTheDead();
  scene.gate.open();
  for (let count = 0; count < 2; count++) await scene.json(scene.start("--sync"));
  original = await scene.history();
  return scene;
}

let original: Awaited<ReturnType<Scene["history"]>> = [];

async function judgeClean(scene: Scene): Promise<void> {
  const rest = await scene.history();
  // As they were, except for the log paths, because this is a copy of the directory.
  for (const { stdout_file, stderr_file, ...job } of rest)
    expect(original.find((known) => known.job_id === job.job_id)).toMatchObject(job);
  const again = await scene.run(CLEAN);
  checkManners(again, [0]);
  expect(JSON.parse(again.stdout)).toMatchObject({ deleted: rest.length, errors: 0, stray_files: 0 });
  for (const folder of ["logs", "locks"]) expect(readdirSync(join(scene.home, folder))).toEqual([]);
}

testSweep("a clean that is killed leaves jobs whole, or what the next clean finishes", "killed", {
  template: fullDirectory,
  strike: strikeCommand(() => CLEAN),
  judge: judgeClean,
});

testSweep("a clean whose calls fail says so, and the next one finishes", "failing", {
  template: fullDirectory,
  strike: strikeCommand(() => CLEAN),
  judge: judgeClean,
  long: true,
});
