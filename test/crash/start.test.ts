/** A `start` that is struck at any system call leaves no gap: nothing, a job that runs, or one that is found LOST. */
import { strike, type Fault } from "../support/strace.ts";
import { testWith } from "../support/needs.ts";
import { checkManners, COMMAND, Scene, START, START_SYNC } from "./scene.ts";
import { EVERYTHING, SWEEP_TIMEOUT_MS, sweepErrors, sweepKills } from "./sweep.ts";

/** Strikes a start, which if it lives must say in the contract's way how it went. */
const struckStart = (args: readonly string[]) => async (scene: Scene, fault: Fault) => {
  const { finished, hit } = await strike(scene, fault, [...args, ...COMMAND]);
  if (fault.effect !== "SIGKILL") checkManners(finished, [0, 1, 4, 5]);
  return hit;
};

testWith(
  ["strace"],
  "a start that is killed at any call on a fresh directory leaves no gap",
  () =>
    sweepKills("start on a fresh directory is killed", {
      scene: () => new Scene(),
      strike: struckStart(START),
    }),
  SWEEP_TIMEOUT_MS,
);

testWith(
  ["strace"],
  "a start whose calls fail on a fresh directory says so, and leaves no gap",
  () =>
    sweepErrors("start on a fresh directory meets errors", {
      scene: () => new Scene(),
      strike: struckStart(START),
    }),
  SWEEP_TIMEOUT_MS,
);

/** A directory with a finished job of the key. */
async function usedDirectory(): Promise<Scene> {
  const scene = new Scene();
  scene.gate.open();
  await scene.json([...START_SYNC, ...COMMAND]);
  return scene;
}

testWith(
  ["strace"],
  "a start --sync that is killed at any call on a used directory leaves no gap",
  async () => {
    await using used = await usedDirectory();
    await sweepKills("start --sync on a used directory is killed", {
      scene() {
        const scene = new Scene(used.directory);
        scene.gate.open();
        return scene;
      },
      strike: struckStart(START_SYNC),
    });
  },
  SWEEP_TIMEOUT_MS,
);

if (EVERYTHING) {
  testWith(
    ["strace"],
    "a start that is killed at any call on a used directory leaves no gap",
    async () => {
      await using used = await usedDirectory();
      await sweepKills("start on a used directory is killed", {
        scene: () => new Scene(used.directory),
        strike: struckStart(START),
      });
    },
    SWEEP_TIMEOUT_MS,
  );

  testWith(
    ["strace"],
    "a start --sync whose calls fail on a used directory says so, and leaves no gap",
    async () => {
      await using used = await usedDirectory();
      await sweepErrors("start --sync on a used directory meets errors", {
        scene() {
          const scene = new Scene(used.directory);
          scene.gate.open();
          return scene;
        },
        strike: struckStart(START_SYNC),
      });
    },
    SWEEP_TIMEOUT_MS,
  );
}
