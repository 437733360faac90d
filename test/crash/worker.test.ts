/** A worker that is struck at any system call: its command never runs twice, and its record says what happened. */
import { type Fault, type Hit, strikeWorker } from "../support/strace.ts";
import { testWith } from "../support/needs.ts";
import type { JobAnswer } from "../support/sandbox.ts";
import { checkManners, COMMAND, Scene, START } from "./scene.ts";
import { SWEEP_TIMEOUT_MS, sweepErrors, sweepKills } from "./sweep.ts";

/** Strikes the worker of a start, and leaves the scene when it is dead; `whenRunning` is done once its command runs. */
const struckWorker =
  (whenRunning: (scene: Scene, worker: number) => void) =>
  async (scene: Scene, fault: Fault): Promise<Hit> => {
    const worker = await strikeWorker(scene, fault, [...START, ...COMMAND]);
    const launcher = await worker.launcher;
    checkManners(launcher, [0]);
    if ((JSON.parse(launcher.stdout) as JobAnswer).status === "RUNNING") whenRunning(scene, worker.pid);
    return worker.hit;
  };

testWith(
  ["strace", "root"],
  "a worker that is killed at any call leaves an orphan that is seen, or none",
  () =>
    sweepKills("worker is killed", {
      scene: () => new Scene(),
      strike: struckWorker((scene) => scene.gate.open()),
    }),
  SWEEP_TIMEOUT_MS,
);

testWith(
  ["strace", "root"],
  "a worker whose calls fail records the true result",
  () =>
    sweepErrors("worker meets errors", {
      scene: () => new Scene(),
      strike: struckWorker((scene) => scene.gate.open()),
    }),
  SWEEP_TIMEOUT_MS,
);

testWith(
  ["strace", "root"],
  "a worker whose calls fail and that is killed then leaves an orphan that is seen",
  () =>
    sweepErrors("worker meets errors and is killed", {
      scene: () => new Scene(),
      strike: struckWorker((_, worker) => process.kill(worker, "SIGKILL")),
    }),
  SWEEP_TIMEOUT_MS,
);
