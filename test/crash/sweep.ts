/**
 * The sweep: runs a command with a fault at its first, second, third … system call of each kind, until a run ends
 * without meeting the fault; so new code is covered without new tests. Each run is then judged. The normal run visits
 * every fifth point, test:crash all.
 */
import { testWith } from "../support/needs.ts";
import type { Fault } from "../support/strace.ts";
import { judge, Scene, slowestRetry } from "./scene.ts";

const EVERYTHING = process.env["ORCHESJOB_CRASH"] === "all";
const STEP = EVERYTHING ? 1 : 5;
/** Beyond about a hundred it visits fewer and fewer: a scan of /proc opens hundreds of files. */
const DENSE = EVERYTHING ? 50 : 20;
const TIMEOUT_MS = EVERYTHING ? 1_800_000 : 180_000;

/** Calls at which a kill is interesting: they change the disk, take locks, or make processes. */
const DEADLY = [
  ..."pwrite64 fdatasync fsync ftruncate openat mkdir mknodat unlink rename write".split(" "),
  ..."fcntl flock pipe2 splice clone3 clone vfork execve".split(" "),
];
/** Calls that fail if a disk is full or broken. */
const FALLIBLE = "pwrite64 fdatasync fsync ftruncate openat mkdir mknodat rename write splice".split(" ");

const FAULTS = {
  killed: DEADLY.map((call) => ({ call, effect: "SIGKILL" }) as const),
  failing: FALLIBLE.flatMap((call) => [
    { call, effect: "EIO" } as const,
    { call, effect: "ENOSPC" } as const,
  ]),
};

/** How many runs are under way at the same time; each has its own sandbox. */
const LANES = 4;

export interface Act {
  /** Made once; every scene begins with a copy of it. */
  readonly template?: () => Promise<Scene>;
  /** Runs the command with the fault, and records what was hit. */
  readonly strike: (scene: Scene, fault: Fault) => Promise<void>;
  readonly judge?: (scene: Scene) => Promise<void>;
  /** Only in test:crash. */
  readonly long?: boolean;
  /** Visits only one in so many of the usual points, except in test:crash; for slow commands. */
  readonly sparse?: number;
}

/** Defines a test that injects the fault at every call: the process is killed there, or the call fails. */
export function testSweep(name: string, faults: keyof typeof FAULTS, act: Act): void {
  if (act.long === true && !EVERYTHING) return;
  testWith(["strace"], name, () => sweep(name, FAULTS[faults], act), TIMEOUT_MS);
}

async function sweep(name: string, kinds: readonly Omit<Fault, "when">[], act: Act): Promise<void> {
  await using template = await act.template?.();
  const queue = [...kinds];
  const failures: string[] = [];
  const thin = EVERYTHING ? 1 : (act.sparse ?? 1);
  let visited = 0;
  const lane = async () => {
    for (let kind = queue.shift(); kind !== undefined; kind = queue.shift()) {
      for (let when = 1; ; when += thin * Math.max(STEP, Math.floor(when / DENSE))) {
        const { hit, failure } = await visit(act, { ...kind, when }, template?.directory);
        if (failure !== undefined)
          failures.push(`${kind.effect} at ${kind.call} ${when}: ${hit}\n${failure}`);
        if (hit === undefined) break;
        visited++;
      }
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  console.log(`${visited} crash points: ${name} (slowest retry so far ${Math.round(slowestRetry)} ms)`);
  if (failures.length > 0) throw new Error(failures.join("\n\n"));
}

async function visit(
  act: Act,
  fault: Fault,
  template: string | undefined,
): Promise<{ hit: string | undefined; failure?: string }> {
  const scene = new Scene(template);
  try {
    await using _ = scene;
    await act.strike(scene, fault);
    await (act.judge ?? judge)(scene);
    return { hit: scene.hit };
  } catch (error) {
    return { hit: scene.hit, failure: error instanceof Error ? `${error.stack}` : String(error) };
  }
}
