/** What the sweeps share: commands run with an injected fault, and directories to run them in. */
import { killWorker } from "../support/processes.ts";
import { type Fault, strike } from "../support/strace.ts";
import { untilQuiet } from "../support/witness.ts";
import { checkManners, Scene } from "./scene.ts";

/** Bun itself aborts before orchesjob's first line if it cannot read this file. */
const OUT_OF_OUR_HANDS = '"/proc/self/maps"';

/** Runs orchesjob with these arguments and a fault. If it survives, its answer must keep the contract. */
export function strikeCommand(args: (scene: Scene) => readonly string[]) {
  return async (scene: Scene, fault: Fault): Promise<void> => {
    const { finished, hit } = await strike(scene, fault, args(scene));
    scene.hit = hit;
    const isDead = fault.effect === "SIGKILL" && hit !== undefined;
    if (!isDead && hit?.includes(OUT_OF_OUR_HANDS) !== true) checkManners(finished, [0, 1, 4, 5]);
  };
}

/** A directory with a finished job of the key. */
export async function usedDirectory(): Promise<Scene> {
  const scene = new Scene();
  scene.gate.open();
  await scene.json(scene.start("--sync"));
  return scene;
}

/** A directory with a running job of the key whose worker and command are dead, which no command has found yet. */
export async function directoryOfTheDead(): Promise<Scene> {
  const scene = await usedDirectory();
  await untilQuiet(scene);
  const closed = new Scene(scene.directory);
  await scene[Symbol.asyncDispose]();
  await killWorker(await closed.json(closed.start()));
  closed.gate.open();
  await untilQuiet(closed);
  return closed;
}
