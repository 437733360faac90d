/**
 * The sweep: a command is struck at its first, second, third … system call of each kind, until a run survives untouched;
 * so new code is covered by itself. After each the judge decides. Every third in the normal run, all in test:crash.
 */
import type { Fault, Hit } from "../support/strace.ts";
import { judge, Scene, slowest } from "./scene.ts";

export const EVERYTHING = process.env["ORCHESJOB_CRASH"] === "all";
const STEP = EVERYTHING ? 1 : 3;
export const SWEEP_TIMEOUT_MS = EVERYTHING ? 1_800_000 : 120_000;

/** Calls at which a death is of interest: they change the disk, take locks, or make processes. */
export const DEADLY = [
  ..."pwrite64 fdatasync fsync ftruncate openat mkdir mknodat unlink rename write".split(" "),
  ..."fcntl flock pipe2 clone3 clone vfork execve".split(" "),
];
/** Calls that fail where a disk is full or broken. */
export const FALLIBLE = "pwrite64 fdatasync fsync ftruncate openat mkdir mknodat rename write".split(" ");

/** Strikes at once that are under way at the same time; each has a sandbox of its own. */
const LANES = 4;

export interface Act {
  readonly scene: () => Scene;
  readonly strike: (scene: Scene, fault: Fault) => Promise<Hit>;
  readonly judge?: (scene: Scene) => Promise<void>;
}

/** Kills at every call. */
export async function sweepKills(title: string, act: Act): Promise<void> {
  await sweep(
    title,
    act,
    DEADLY.map((call) => [call, "SIGKILL"]),
  );
}

/** Lets every call fail that may. */
export async function sweepErrors(title: string, act: Act): Promise<void> {
  await sweep(
    title,
    act,
    FALLIBLE.flatMap(
      (call) =>
        [
          [call, "EIO"],
          [call, "ENOSPC"],
        ] as const,
    ),
  );
}

async function sweep(
  title: string,
  act: Act,
  kinds: readonly (readonly [call: string, effect: Fault["effect"]])[],
): Promise<void> {
  const queue = [...kinds];
  const failures: string[] = [];
  let visited = 0;
  const lane = async () => {
    for (let kind = queue.shift(); kind !== undefined; kind = queue.shift()) {
      const [call, effect] = kind;
      for (let when = 1; ; when += STEP) {
        const { hit, failure } = await visit(act, { call, effect, when });
        if (failure !== undefined) failures.push(`${effect} at ${call} ${when}: ${hit}\n${failure}`);
        if (hit === undefined) break;
        visited++;
      }
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  console.log(`crash points visited: ${visited}, ${title} (slowest retry ${Math.round(slowest)} ms)`);
  if (failures.length > 0) throw new Error(failures.join("\n\n"));
}

async function visit(act: Act, fault: Fault): Promise<{ hit: Hit; failure?: string }> {
  let hit: Hit;
  try {
    await using scene = act.scene();
    hit = await act.strike(scene, fault);
    await (act.judge ?? judge)(scene);
    return { hit };
  } catch (error) {
    return { hit, failure: error instanceof Error ? `${error.stack}` : String(error) };
  }
}
