/**
 * A worker that is killed, or whose calls fail, at any point: its command never runs twice, and its record says what
 * happened.
 */
import { expect, setDefaultTimeout } from "bun:test";
import type { JobAnswer } from "../support/sandbox.ts";
import { type Fault, strikeWorker } from "../support/strace.ts";
import { checkManners, judge, type Scene } from "./scene.ts";
import { readExecutions } from "../support/witness.ts";
import { testSweep } from "./sweep.ts";
import { TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/**
 * Injects a fault into the worker of a start. Calls `whenRunning` once the command runs; returns when the worker is
 * dead.
 */
function strikeWorkerAnd(whenRunning: (scene: Scene, worker: number) => void, ...options: readonly string[]) {
  return async (scene: Scene, fault: Fault): Promise<void> => {
    const { launcher, hit, pid } = await strikeWorker(scene, fault, scene.start(...options));
    const answer = await launcher;
    const runs = answer.code === 0 && (JSON.parse(answer.stdout) as JobAnswer).status === "RUNNING";
    if (runs) whenRunning(scene, pid);
    scene.hit = await hit;
    checkManners(answer, [0]);
  };
}

testSweep("a worker that is killed leaves no orphan, or one that is found", "killed", {
  strike: strikeWorkerAnd((scene) => scene.gate.open()),
});

testSweep("a worker that copies the output and is killed leaves no orphan, or one that is found", "killed", {
  strike: strikeWorkerAnd((scene) => scene.gate.open(), "--output", "pipe"),
  long: true,
});

testSweep("a worker whose calls fail records the true result", "failing", {
  strike: strikeWorkerAnd((scene) => scene.gate.open()),
  async judge(scene) {
    const [job] = await scene.history();
    if (readExecutions(scene, "k").ended.length > 0) expect(job).toMatchObject({ status: "SUCCEEDED" });
    await judge(scene);
  },
});

testSweep("a worker whose calls fail, and which is then killed, leaves an orphan that is found", "failing", {
  strike: strikeWorkerAnd((_, worker) => process.kill(worker, "SIGKILL")),
});

testSweep("a worker that copies the output and whose calls fail records the true result", "failing", {
  strike: strikeWorkerAnd((scene) => scene.gate.open(), "--output", "pipe"),
  long: true,
});
