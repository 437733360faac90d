/**
 * The connection to the registry is cut before, or its answer is lost after, each message of a command or of the agent. Never
 * twice, never stuck, and in the end registry and members agree.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { serverOfFile } from "../support/fleet.ts";
import { TIMEOUT_MS, until } from "../support/sandbox.ts";
import type { FleetScene } from "./scene.ts";
import { sweepMessages } from "./sweep.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

function agreement(scene: FleetScene): Promise<boolean> {
  return until("registry and members agree", () => scene.agrees());
}

sweepMessages("a start", server, async (scene) => {
  scene.survived(await scene.struck.run(scene.start()));
});

sweepMessages("a start --sync of a key that is active elsewhere", server, async (scene) => {
  const { struck, other, gate } = scene;
  await other.json(scene.start());
  const waiting = struck.run(scene.start("--sync"));
  await until("the start waits or has failed", async () => {
    return (
      scene.proxy.messages > 12 || scene.proxy.hit !== undefined || (await Promise.race([waiting, false]))
    );
  });
  gate.open();
  scene.survived(await waiting);
});

sweepMessages("the publication of an end", server, async (scene) => {
  const { struck, gate, proxy } = scene;
  const { cut, when } = proxy.disarm();
  await struck.json(scene.start());
  await agreement(scene);
  proxy.arm(cut, when);
  gate.open();
  await agreement(scene);
});

sweepMessages("an attempt that follows another", server, async (scene) => {
  const { fleet, key, struck, gate, proxy } = scene;
  const { cut, when } = proxy.disarm();
  await struck.json(scene.startTwice());
  await agreement(scene);
  proxy.arm(cut, when);
  gate.open();
  await until("the registry knows how both have ended", async () => {
    const statuses = (await fleet.registered(key)).map(({ status }) => status);
    return statuses.join() === "SUCCEEDED,FAILED";
  });
});

sweepMessages(
  "the renewals of a job that must not outlast the lease",
  server,
  async (scene) => {
    const { struck, proxy, fleet } = scene;
    const { cut, when } = proxy.disarm();
    await struck.json(scene.start("--on-partition", "stop"));
    await agreement(scene);
    const beat = async () => {
      const rows = await fleet.sql<{ beat: string }>("select max(beat) as beat from orchesjob.sessions");
      return Number(rows[0]!.beat);
    };
    proxy.arm(cut, when);
    await until("a renewal is hit", () => proxy.hit);
    // One that is lost is made up for before the lease is over.
    const before = await beat();
    if (cut === "silent") proxy.heal();
    await until("the lease is renewed", async () => (await beat()) > before);
    expect((await struck.json(["status", "--run-key", scene.key])).status).toBe("RUNNING");
  },
  3,
);

sweepMessages("a cancel of a job of another member", server, async (scene) => {
  const { struck, other } = scene;
  await other.json(scene.start());
  scene.survived(await struck.run(["cancel", "--run-key", scene.key]));
});

sweepMessages("a cancel by another member", server, async (scene) => {
  const { struck, other, proxy } = scene;
  const { cut, when } = proxy.disarm();
  await struck.json(scene.start());
  await agreement(scene);
  proxy.arm(cut, when);
  scene.survived(await other.run(["cancel", "--run-key", scene.key]));
});

sweepMessages("a strict start with a request id", server, async (scene) => {
  scene.survived(await scene.struck.run(scene.start("--strict", "--request-id", "r")));
});
