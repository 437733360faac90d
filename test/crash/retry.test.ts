/**
 * The worker of a command that fails and is tried again, killed at any point, or with calls that fail: no two attempts
 * at once, the key is free again, and the record of each attempt is true.
 */
import { expect, setDefaultTimeout } from "bun:test";
import type { Fault } from "../support/strace.ts";
import { strikeWorker } from "../support/strace.ts";
import { TIMEOUT_MS } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";
import { checkManners, judge, type Scene } from "./scene.ts";
import { testSweep } from "./sweep.ts";

setDefaultTimeout(TIMEOUT_MS);

/** Fails as its first attempt; waits at the gate as its second. */
function twice(scene: Scene, ...options: readonly string[]): readonly string[] {
  const command = witness(`test $ORCHESJOB_ATTEMPT -gt 1 || exit 7; ${scene.gate.wait}`);
  return ["start", "--run-key", "k", "--retries", "1", "--retry-delay", "0", ...options, "--", ...command];
}

function strikeAnd(whenStruck: (scene: Scene) => void, ...options: readonly string[]) {
  return async (scene: Scene, fault: Fault): Promise<void> => {
    const { launcher, hit } = await strikeWorker(scene, fault, twice(scene, ...options));
    whenStruck(scene);
    checkManners(await launcher, [0]);
    scene.hit = await hit;
  };
}

const open = (scene: Scene) => scene.gate.open();

testSweep("a worker that is killed at any point of two attempts never runs them at once", "killed", {
  strike: strikeAnd(open),
});

testSweep("a worker that copies the output of two attempts and is killed", "killed", {
  strike: strikeAnd(open, "--output", "pipe"),
  long: true,
});

testSweep("a worker of two attempts whose calls fail records the true results", "failing", {
  strike: strikeAnd(open),
  async judge(scene) {
    const [last] = await scene.history();
    if (readExecutions(scene, "k").ended.length > 0) expect(last).toMatchObject({ status: "SUCCEEDED" });
    await judge(scene);
  },
});
