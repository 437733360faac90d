/**
 * Random commands and random kills from several processes at once, checked against the model of what may be true
 * (model.ts). The seed is printed; ORCHESJOB_SEED=N repeats the choices, but not the timing between processes.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { has } from "../support/needs.ts";
import { findProcesses } from "../support/processes.ts";
import { BINARY, type Finished, type JobAnswer, type RunOptions, TIMEOUT_MS } from "../support/sandbox.ts";
import { openToAll, OUT_OF_REACH, WITHOUT_KILL } from "../support/unending.ts";
import { untilQuiet, witness } from "../support/witness.ts";
import { isOver, Model } from "./model.ts";
import { checkExecutions, checkHistory, checkManners, Scene } from "./scene.ts";

setDefaultTimeout(TIMEOUT_MS);

const EVERYTHING = process.env["ORCHESJOB_CRASH"] === "all";
const SEED = Number(process.env["ORCHESJOB_SEED"] ?? Date.now() % 1_000_000);
const ROUNDS = EVERYTHING ? 40 : 4;
const ACTORS = 5;
const STEPS_OF_AN_ACTOR = 50;
/** The run key whose commands orchesjob may not signal: they continue after orchesjob has ended their job. */
const UNENDING = "unending";
const RUN_KEYS = ["a", "b", "c", ...(has("root") ? [UNENDING] : [])];

test(
  "random commands and kills from several processes never contradict the model",
  async () => {
    const total: Record<string, number> = {};
    for (let round = 0; round < ROUNDS; round++) {
      const seen = await playRound(round);
      for (const [status, count] of Object.entries(seen)) total[status] = (total[status] ?? 0) + count;
    }
    const steps = ROUNDS * ACTORS * STEPS_OF_AN_ACTOR;
    console.log(`model check: ${steps} steps, ORCHESJOB_SEED=${SEED}, jobs: ${JSON.stringify(total)}`);
    // A run that never meets a loss proves nothing.
    expect(total["SUCCEEDED"]).toBeGreaterThan(0);
    expect(total["LOST"]).toBeGreaterThan(0);
  },
  EVERYTHING ? 1_800_000 : 180_000,
);

/** Runs orchesjob; on UNENDING without the right to signal other users' processes. */
function runOn({ scene, runKey }: Turn, args: readonly string[], options?: RunOptions): Promise<Finished> {
  return scene.execute([...(runKey === UNENDING ? WITHOUT_KILL : []), BINARY, ...args], options);
}

async function playRound(round: number): Promise<Record<string, number>> {
  await using scene = new Scene();
  openToAll(scene, [UNENDING]);
  const model = new Model();
  // Every second round cleans history, and can prove less about it.
  model.forgetful = round % 2 === 1;
  try {
    const actors = Array.from({ length: ACTORS }, (_, number) =>
      act(scene, model, randomNumbers(SEED + 1000 * round + number)),
    );
    await Promise.all(actors);
    await untilQuiet(scene);
    for (const runKey of RUN_KEYS) await checkEnd(scene, model, runKey);
  } catch (error) {
    throw new Error(`ORCHESJOB_SEED=${SEED}, round ${round}`, { cause: error });
  }
  return model.summary();
}

/** Once nothing runs, every job has its result, and every key can be started. */
async function checkEnd(scene: Scene, model: Model, runKey: string): Promise<void> {
  const asked = model.ask();
  const history = await scene.history(runKey);
  model.learnHistory(asked, history);
  expect(history.filter((job) => !isOver(job))).toEqual([]);
  if (model.forgetful) checkExecutions(history, scene, runKey);
  else checkHistory(history, scene, runKey);
  const answer = await scene.json(["start", "--run-key", runKey, "--sync", "--", "true"]);
  expect(answer).toMatchObject({ existing: false, status: "SUCCEEDED" });
}

async function act(scene: Scene, model: Model, random: () => number): Promise<void> {
  const steps = WEIGHTS.flatMap(([step, weight]) => Array.from({ length: weight }, () => step));
  for (let count = 0; count < STEPS_OF_AN_ACTOR; count++)
    await pick(steps, random)({ scene, model, random, runKey: pick(RUN_KEYS, random) });
}

interface Turn {
  readonly scene: Scene;
  readonly model: Model;
  readonly random: () => number;
  readonly runKey: string;
}

type Step = (turn: Turn) => Promise<void>;

/** Words that start a command of up to 50 ms, or of up to 1 s for a cancel to find. */
function startWords({ runKey, random }: Turn, ...options: readonly string[]): string[] {
  const seconds = (random() * (runKey === UNENDING ? 1 : 0.05)).toFixed(3);
  const out = runKey === UNENDING ? OUT_OF_REACH : [];
  return ["start", "--run-key", runKey, ...options, "--", ...out, ...witness(`sleep ${seconds}`)];
}

const start =
  (...options: readonly string[]): Step =>
  async (turn) => {
    const asked = turn.model.ask();
    const result = await runOn(turn, startWords(turn, ...options));
    checkManners(result, [0, 3, 4]);
    if (result.code === 3) expect(turn.model.forgetful && result.stderr).toMatch(/has ended and was deleted/);
    else if (result.code === 4) expect(result.stderr).toMatch(/still (runs|held|has)|is still held/);
    else turn.model.learnStart(asked, JSON.parse(result.stdout) as JobAnswer);
  };

const status: Step = async ({ scene, model, runKey }) => {
  const asked = model.ask();
  const result = await scene.run(["status", "--run-key", runKey]);
  checkManners(result, [0, 3]);
  if (result.code === 0) model.learn(asked, JSON.parse(result.stdout) as JobAnswer);
};

const history: Step = async ({ scene, model, runKey }) => {
  model.learnHistory(model.ask(), await scene.history(runKey));
};

const cancel: Step = async (turn) => {
  const { model, runKey } = turn;
  model.cancelled.add(runKey);
  const result = await runOn(turn, ["cancel", "--run-key", runKey, "--grace-seconds", "1"]);
  checkManners(result, [0, 3, 4]);
  if (result.code === 4 && result.stderr.includes("is CANCELLED, but")) model.outlived += 1;
};

const clean: Step = async ({ scene, model }) => {
  if (model.forgetful) checkManners(await scene.run(["clean", "--before", "2999-01-01"]), [0]);
};

const killLauncher: Step = async (turn) => {
  turn.model.interrupted.add(turn.runKey);
  const wrapper = turn.runKey === UNENDING ? WITHOUT_KILL : [];
  const launcher = turn.scene.spawn([...wrapper, BINARY, ...startWords(turn)]);
  // Kills it at a random moment of its life, which lasts about 25 ms.
  await Bun.sleep(turn.random() * 25);
  launcher.kill("SIGKILL");
  const result: Finished = await turn.scene.finished(launcher);
  expect(result.stderr).not.toMatch(/^ +at /m);
};

const killWorker: Step = async ({ scene, model, random }) => {
  const workers = findProcesses(scene, "_worker");
  if (workers.length === 0) return;
  const pid = pick(workers, random);
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    model.killed.add(words[words.indexOf("--job-id") + 1]!);
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
};

const WEIGHTS: readonly (readonly [Step, number])[] = [
  [start(), 6],
  [start("--sync"), 3],
  [start("--start-timeout", "0"), 2],
  [status, 3],
  [history, 3],
  [killWorker, 4],
  [killLauncher, 3],
  [cancel, 4],
  [clean, 1],
];

function pick<T>(things: readonly T[], random: () => number): T {
  return things[Math.floor(random() * things.length)]!;
}

/** Numbers from 0 to below 1, the same ones for the same seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
