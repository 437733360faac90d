/**
 * The launcher, the worker or the agent of a member is killed at each of its system calls. Never twice, never stuck, and in the
 * end registry and members agree.
 */
import { setDefaultTimeout } from "bun:test";
import { serverOfFile } from "../support/fleet.ts";
import { TIMEOUT_MS, until } from "../support/sandbox.ts";
import { strike, strikeWorker } from "../support/strace.ts";
import { sweepKills } from "./sweep.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

sweepKills("a start", server, async (scene, fault) => {
  const { finished, hit } = await strike(scene.struck, fault, scene.start());
  scene.hit = hit;
  if (hit === undefined) scene.survived(finished);
});

sweepKills("the worker of a job", server, async (scene, fault) => {
  const { launcher, hit } = await strikeWorker(scene.struck, fault, scene.start());
  const answer = await launcher;
  scene.survived(answer);
  scene.gate.open();
  scene.hit = await hit;
});

sweepKills("the worker of two attempts", server, async (scene, fault) => {
  const { launcher, hit } = await strikeWorker(scene.struck, fault, scene.startTwice());
  scene.survived(await launcher);
  scene.gate.open();
  scene.hit = await hit;
});

sweepKills(
  "the agent",
  server,
  async (scene, fault) => {
    const { struck, gate } = scene;
    const agent = strike(struck, fault, ["_agent"]);
    let isOver = false;
    void agent.finally(() => (isOver = true));
    await until("the agent runs or has died", () => isOver || struck.agents().length > 0);
    await struck.json(scene.startTwice());
    gate.open();
    // If it dies after the worker has ended, the next start of the member brings another one.
    await until("registry and members agree", async () => isOver || (await scene.agrees()));
    for (const pid of struck.agents()) process.kill(pid, "SIGTERM");
    scene.hit = (await agent).hit;
  },
  [true],
);
