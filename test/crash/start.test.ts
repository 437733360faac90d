/**
 * A `start` that is killed, or whose calls fail, at any point leaves no job, a running job, or one that is found
 * LOST.
 */
import { setDefaultTimeout } from "bun:test";
import { openDatabase } from "../support/database.ts";
import { findProcesses } from "../support/processes.ts";
import { TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions } from "../support/witness.ts";
import { strikeCommand, usedDirectory } from "./acts.ts";
import { testSweep } from "./sweep.ts";

setDefaultTimeout(TIMEOUT_MS);

const START = strikeCommand((scene) => scene.start());
const START_SYNC = strikeCommand((scene) => {
  scene.gate.open();
  return scene.start("--sync");
});

testSweep(
  "a start that is killed on a fresh directory leaves no job, a running one or a LOST one",
  "killed",
  { strike: START },
);

testSweep(
  "a start whose calls fail on a fresh directory says so, and leaves no job, a running one or a LOST one",
  "failing",
  {
    strike: START,
  },
);

testSweep(
  "a start --sync that is killed on a used directory leaves no job, a running one or a LOST one",
  "killed",
  {
    template: usedDirectory,
    strike: START_SYNC,
  },
);

testSweep(
  "a start that is killed while another process has the database open leaves no job, a running one or a LOST one",
  "killed",
  {
    template: usedDirectory,
    async strike(scene, fault) {
      // While another process has the database open, SQLite does not look for an unfinished commit; it may turn up
      // later.
      using database = openDatabase(scene);
      database.query("select count(*) from jobs").get();
      await START(scene, fault);
      await until(
        "the worker has run the command, or found no job",
        () => readExecutions(scene, "k").started.length > 1 || findProcesses(scene, "_worker").length === 0,
      );
    },
    long: true,
  },
);

testSweep(
  "a start --sync whose calls fail on a used directory says so, and leaves no job, a running one or a LOST one",
  "failing",
  {
    template: usedDirectory,
    strike: START_SYNC,
    long: true,
  },
);
