/** What the sweeps have in common: striking a command, and directories to strike it in. */
import { killWorker } from "../support/processes.ts";
import { type Fault, strike } from "../support/strace.ts";
import { untilQuiet } from "../support/witness.ts";
import { checkManners, Scene } from "./scene.ts";

/** Bun itself aborts before our first line where it cannot read this. */
const OUT_OF_OUR_HANDS = '"/proc/self/maps"';

/** Strikes orchesjob with these arguments. If it lives, it must tell in the contract's way how it went. */
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

/** A directory with a running job of the key whose worker and command are dead, which nobody has found out yet. */
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
