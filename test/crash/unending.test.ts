/**
 * Kills the process that ends a job early, or fails its calls, while a process of the job cannot be ended: the key
 * still does not become free.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { has } from "../support/needs.ts";
import { BINARY, isAlive, type JobAnswer, TIMEOUT_MS } from "../support/sandbox.ts";
import { type Fault, strike, strikeWorker } from "../support/strace.ts";
import { openToAll, OUT_OF_REACH, WITHOUT_KILL } from "../support/unending.ts";
import { readExecutions, witness } from "../support/witness.ts";
import { checkManners, type Scene } from "./scene.ts";
import { testSweep } from "./sweep.ts";

setDefaultTimeout(TIMEOUT_MS);

const CANCEL = ["cancel", "--run-key", "k", "--grace-seconds", "0"];

/** How often a check met a job that had ended while its command lived. */
let guarded = 0;

function startWords(scene: Scene): string[] {
  openToAll(scene, ["k"]);
  chmodSync(scene.gate.path, 0o666);
  return ["start", "--run-key", "k", "--", ...OUT_OF_REACH, ...witness(scene.gate.wait)];
}

/** The pid of the command, if it lives. */
function livingCommand(scene: Scene): number | undefined {
  if (readExecutions(scene, "k").started.length === 0) return undefined;
  const text = readFileSync(join(scene.directory, "executions.k"), "utf8");
  const pid = Number(/^start \S+ (\d+)$/m.exec(text)?.[1]);
  return isAlive(pid) ? pid : undefined;
}

/** Nothing starts beside a living command, whatever status its job has by now. */
async function checkGuard(scene: Scene): Promise<void> {
  const [job] = await scene.history();
  const pid = livingCommand(scene);
  const another = ["start", "--run-key", "k", "--start-timeout", "0", "--", ...witness("true")];
  const result = await scene.run(another);
  checkManners(result, [0, 4]);
  if (pid === undefined || !isAlive(pid)) return;
  if (job?.finished_at != null) {
    expect(result.code, `${job.status}, and ${pid} lives`).toBe(4);
    expect(job.orphan_pids).toContain(pid);
    guarded++;
  } else if (result.code === 0)
    expect(JSON.parse(result.stdout) as JobAnswer).toMatchObject({ existing: true });
}

async function strikeTheWorker(scene: Scene, fault: Fault): Promise<void> {
  const { launcher, hit } = await strikeWorker(scene, fault, startWords(scene), WITHOUT_KILL);
  checkManners(await launcher, [0]);
  checkManners(await scene.execute([...WITHOUT_KILL, BINARY, ...CANCEL]), [0, 4]);
  await checkGuard(scene);
  // Without a fault the worker stays as long as its command.
  scene.gate.open();
  scene.hit = await hit;
}

async function strikeTheCanceller(scene: Scene, fault: Fault): Promise<void> {
  await scene.execute([...WITHOUT_KILL, BINARY, ...startWords(scene)]);
  const { finished, hit } = await strike(scene, fault, CANCEL, WITHOUT_KILL);
  scene.hit = hit;
  if (hit === undefined) checkManners(finished, [4]);
  await checkGuard(scene);
}

if (has("root")) {
  testSweep(
    "a worker that is killed while it ends what cannot be ended leaves a key that is not free",
    "killed",
    {
      strike: strikeTheWorker,
      sparse: 6,
    },
  );

  testSweep("a cancel that is killed on what cannot be ended leaves a key that is not free", "killed", {
    strike: strikeTheCanceller,
    sparse: 6,
  });

  testSweep(
    "a worker whose calls fail while it ends what cannot be ended leaves a key that is not free",
    "failing",
    {
      strike: strikeTheWorker,
      long: true,
    },
  );

  test("the sweeps above met a job that had ended while its command lived", () => {
    console.log(`${guarded} times a job had ended and its command had not: nothing started beside it`);
    expect(guarded).toBeGreaterThan(0);
  });
}
