/**
 * The sweeps of the fleet: an act is done with a fault at its first, second, third … message to the registry, or system call,
 * until it ends without meeting the fault. The normal run visits a part of the points, test:crash all.
 */
import type { Need } from "../support/needs.ts";
import { testWith } from "../support/needs.ts";
import type { Server } from "../support/postgres.ts";
import type { Cut } from "../support/proxy.ts";
import type { Fault } from "../support/strace.ts";
import { FleetScene } from "./scene.ts";

const EVERYTHING = process.env["ORCHESJOB_CRASH"] === "all";
const TIMEOUT_MS = EVERYTHING ? 1_800_000 : 120_000;
const LANES = 3;
/** Visits only faults whose names contain this, such as `killed at rename`, to look at one again. */
const ONLY = process.env["ORCHESJOB_FAULT"] ?? "";

/** Calls at which a kill is interesting: they change the disk, talk, take locks, or make processes. */
const DEADLY =
  "pwrite64 fdatasync openat unlink rename write sendto fcntl flock connect clone3 clone vfork execve";

/** One fault, as the number of its points counts on. */
interface Kind {
  readonly name: string;
  readonly isCold: boolean;
  /** Visits one in so many points. */
  readonly step: number;
  readonly visit: (scene: FleetScene, when: number) => Promise<void>;
}

/** The act, with the connection cut at each message of the struck member. */
export function sweepMessages(
  name: string,
  server: () => Promise<Server>,
  act: (scene: FleetScene) => Promise<void>,
  /** For a slow act that has no end by itself: how many points it has. The normal run leaves it out. */
  most = Number.POSITIVE_INFINITY,
): void {
  if (!EVERYTHING && Number.isFinite(most)) return;
  const kinds: Kind[] = [];
  for (const cut of ["before", "after", "silent"] as const satisfies Cut[])
    for (const isCold of [true, false]) {
      // The normal run has the most instructive ones: an answer that is lost, with all that an agent says at its beginning.
      if (!EVERYTHING && (cut === "silent" || (cut === "after") !== isCold)) continue;
      kinds.push({
        ...{ name: `${cut}, ${isCold ? "without" : "with"} an agent`, isCold, step: EVERYTHING ? 1 : 5 },
        async visit(scene, when) {
          if (when > most) return;
          scene.proxy.arm(cut, when);
          await act(scene);
          scene.hit = scene.proxy.hit;
        },
      });
    }
  define(`${name}: the connection is cut at any message`, ["postgresql"], server, kinds);
}

/** The act, with a process killed at each of its system calls. It records what was hit. */
export function sweepKills(
  name: string,
  server: () => Promise<Server>,
  act: (scene: FleetScene, fault: Fault) => Promise<void>,
  isCold: readonly boolean[] = [true, false],
): void {
  const kinds = DEADLY.split(" ").flatMap((call, index) =>
    // The normal run takes turns.
    (EVERYTHING ? isCold : [isCold[index % isCold.length]!]).map((cold): Kind => ({
      name: `killed at ${call}, ${cold ? "without" : "with"} an agent`,
      ...{ isCold: cold, step: EVERYTHING ? 1 : 20 },
      visit: (scene, when) => act(scene, { call, effect: "SIGKILL", when }),
    })),
  );
  define(`${name}: killed at any system call`, ["postgresql", "strace"], server, kinds);
}

function define(
  name: string,
  needs: readonly Need[],
  server: () => Promise<Server>,
  kinds: readonly Kind[],
): void {
  testWith(needs, name, () => sweep(name, server, kinds), TIMEOUT_MS);
}

async function sweep(name: string, server: () => Promise<Server>, kinds: readonly Kind[]): Promise<void> {
  const queue = kinds.filter((kind) => kind.name.includes(ONLY));
  const failures: string[] = [];
  let visited = 0;
  let slowest = 0;
  const lane = async () => {
    let scene: FleetScene | undefined;
    for (let kind = queue.shift(); kind !== undefined; kind = queue.shift())
      for (let when = 1; ; when += Math.max(kind.step, Math.floor((when * kind.step) / 20))) {
        scene ??= await FleetScene.create(await server());
        const began = performance.now();
        try {
          await scene.next(kind.isCold);
          await kind.visit(scene, when);
          if (scene.hit === undefined && when > 1) break;
          await scene.judge();
          slowest = Math.max(slowest, performance.now() - began);
        } catch (error) {
          failures.push(
            `${kind.name}, ${when}: ${scene.hit}\n${error instanceof Error ? error.stack : error}`,
          );
          // What went wrong here must not go on.
          const hit = scene.hit;
          await dispose(scene, failures);
          scene = undefined;
          if (hit === undefined) break;
          continue;
        }
        if (scene.hit === undefined) break;
        visited += 1;
      }
    if (scene !== undefined) await dispose(scene, failures);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  console.log(`${visited} fault points: ${name} (slowest ${Math.round(slowest)} ms)`);
  if (failures.length > 0) throw new Error(failures.join("\n\n"));
}

async function dispose(scene: FleetScene, failures: string[]): Promise<void> {
  try {
    await scene[Symbol.asyncDispose]();
  } catch (error) {
    failures.push(String(error));
  }
}
