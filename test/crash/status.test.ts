/**
 * A `status` that is killed, or whose calls fail, while it finds a dead worker: the job becomes LOST once, and its
 * key runs again.
 */
import { directoryOfTheDead, strikeCommand } from "./acts.ts";
import type { Scene } from "./scene.ts";
import { testSweep } from "./sweep.ts";

const status = (scene: Scene) => {
  scene.gate.open();
  return ["status", "--run-key", "k"];
};

testSweep("a status that is killed while it finds a worker dead leaves the job as it is, or LOST", "killed", {
  template: directoryOfTheDead,
  strike: strikeCommand(status),
});

testSweep("a status whose calls fail while it finds a worker dead says so", "failing", {
  template: directoryOfTheDead,
  strike: strikeCommand(status),
  long: true,
});
