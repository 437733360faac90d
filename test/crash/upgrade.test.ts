/**
 * An upgrade of a Python directory that is killed, or whose calls fail: either the old or the new database is whole,
 * and the next command completes the upgrade.
 */
import { Database } from "bun:sqlite";
import { expect, setDefaultTimeout } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type JobAnswer, ROOT, TIMEOUT_MS } from "../support/sandbox.ts";
import { strikeCommand } from "./acts.ts";
import { Scene } from "./scene.ts";
import { testSweep } from "./sweep.ts";

setDefaultTimeout(TIMEOUT_MS);

function pythonDirectory(version: string): Scene {
  const scene = new Scene();
  mkdirSync(scene.home, { mode: 0o700 });
  const archive = join(ROOT, `test/fixtures/python-${version}-home.tar.gz`);
  Bun.spawnSync(["tar", "xzf", archive, "--strip-components=1", "-C", scene.home]);
  return scene;
}

/** Everything known about the old jobs, except what depends on the observer: paths, and when a loss was found. */
async function knowledge(scene: Scene): Promise<unknown[]> {
  const jobs = await scene.json<JobAnswer[]>(["list"]);
  const old = jobs.filter((job) => job.run_key !== "k");
  return old.map(({ stdout_file, stderr_file, finished_at, ...job }) => ({
    ...job,
    finished_at: job.status === "LOST" ? "found" : finished_at,
  }));
}

function rows(path: string): unknown[] {
  using database = new Database(path, { readonly: true });
  return database.query("select job_id, status, started_at, finished_at from jobs order by job_id").all();
}

for (const version of ["1.0.0", "1.1.0"]) {
  let undisturbed: unknown[];
  let old: unknown[];
  const act = {
    async template() {
      await using upgraded = pythonDirectory(version);
      old = rows(join(upgraded.home, "orchesjob.db"));
      undisturbed = await knowledge(upgraded);
      expect(undisturbed.length).toBeGreaterThan(7);
      return pythonDirectory(version);
    },
    async judge(scene: Scene) {
      expect(await knowledge(scene)).toEqual(undisturbed);
      expect(rows(join(scene.home, "orchesjob.db.python"))).toEqual(old);
      scene.gate.open();
      expect((await scene.json(scene.start("--sync"))).status).toBe("SUCCEEDED");
    },
  };

  testSweep(`an upgrade from ${version} by a status that is killed loses nothing`, "killed", {
    ...act,
    strike: strikeCommand(() => ["status", "--run-key", "was-running"]),
    long: version !== "1.0.0",
  });

  testSweep(`an upgrade from ${version} by a status whose calls fail loses nothing`, "failing", {
    ...act,
    strike: strikeCommand(() => ["status", "--run-key", "was-running"]),
    long: true,
  });

  testSweep(`an upgrade from ${version} by a start that is killed loses nothing`, "killed", {
    ...act,
    strike: strikeCommand((scene) => {
      scene.gate.open();
      return scene.start("--sync");
    }),
    long: true,
  });
}
