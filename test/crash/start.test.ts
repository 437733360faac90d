/** A `start` that is struck at any system call leaves no gap: nothing, a job that runs, or one that is found LOST. */
import { strikeCommand, usedDirectory } from "./acts.ts";
import { testSweep } from "./sweep.ts";

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

testSweep("a start that is killed on a used directory leaves no gap", "killed", {
  template: usedDirectory,
  strike: START,
  long: true,
});

testSweep("a start --sync whose calls fail on a used directory says so, and leaves no gap", "failing", {
  template: usedDirectory,
  strike: START_SYNC,
  long: true,
});
