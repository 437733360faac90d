/** A `start` that is struck at any system call leaves no gap: nothing, a job that runs, or one that is found LOST. */
import { setDefaultTimeout } from "bun:test";
import { openDatabase } from "../support/database.ts";
import { findProcesses } from "../support/processes.ts";
import { TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readTestimony } from "../support/witness.ts";
import { strikeCommand, usedDirectory } from "./acts.ts";
import { testSweep } from "./sweep.ts";

setDefaultTimeout(TIMEOUT_MS);

const START = strikeCommand((scene) => scene.start());
const START_SYNC = strikeCommand((scene) => {
  scene.gate.open();
  return scene.start("--sync");
});

testSweep("a start that is killed on a fresh directory leaves no gap", "killed", { strike: START });

testSweep("a start whose calls fail on a fresh directory says so, and leaves no gap", "failing", {
  strike: START,
});

testSweep("a start --sync that is killed on a used directory leaves no gap", "killed", {
  template: usedDirectory,
  strike: START_SYNC,
});

testSweep("a start that is killed while another has the database open leaves no gap", "killed", {
  template: usedDirectory,
  async strike(scene, fault) {
    // A commit on its way is not looked for while somebody has the database open; it may come to light afterwards.
    using database = openDatabase(scene);
    database.query("select count(*) from jobs").get();
    await START(scene, fault);
    await until(
      "the worker has run the command, or found no job",
      () => readTestimony(scene, "k").started.length > 1 || findProcesses(scene, "_worker").length === 0,
    );
  },
  long: true,
});

testSweep("a start --sync whose calls fail on a used directory says so, and leaves no gap", "failing", {
  template: usedDirectory,
  strike: START_SYNC,
  long: true,
});
