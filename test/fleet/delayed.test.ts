/**
 * A network on which everything arrives, but late: right answers or exit 5, never twice, never stuck. What reaches the server late
 * is executed there, although nobody waits for the answer any more.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { checkManners } from "../crash/scene.ts";
import { type FleetAnswer, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { finishedJob } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { type Finished, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions } from "../support/witness.ts";
import { FleetScene } from "./scene.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

/** In each direction. A new connection with its first question takes four times there and back: nearly as long as anybody waits. */
const SLOW_MS = 400;
/** Longer than anybody waits. */
const LATE_MS = 2_000;

/** The answer of a command that may say instead that it cannot ask the registry. */
function answerOf(result: Finished): FleetAnswer | undefined {
  checkManners(result, [0, 5]);
  if (result.code === 5) expect(result.stderr).toMatch(/cannot ask the registry|no answer/);
  return result.code === 0 ? (JSON.parse(result.stdout) as FleetAnswer) : undefined;
}

/** What is done while everything is late. The delay ends when it returns, and then the scene is judged. */
const ACTS: readonly [name: string, prepare: Act, act: Act][] = [
  [
    "a start, and one of the same key elsewhere",
    async () => undefined,
    async ({ struck, other, start, scene }) => {
      const answers = await Promise.all([struck.run(start()), other.run(start())]);
      const running = answers.map(answerOf).filter((answer) => answer !== undefined);
      expect(running.filter(({ existing }) => !existing).length).toBeLessThanOrEqual(1);
      expect(new Set(running.map(({ job_id }) => job_id)).size).toBeLessThanOrEqual(1);
      expect(readExecutions(scene.fleet, scene.key).overlapping).toEqual([]);
    },
  ],
  [
    "a start without an agent",
    async ({ scene }) => scene.next(true),
    async ({ struck, start }) => void answerOf(await struck.run(start())),
  ],
  [
    "a start whose claim is late",
    async () => undefined,
    async ({ struck, start, scene }) => {
      const { proxy } = scene;
      proxy.delayFrom("orchesjob.claim", proxy.delayMs);
      proxy.delayMs = 0;
      const answer = answerOf(await struck.run(start()));
      if (answer !== undefined) expect(answer).toMatchObject({ existing: false, member: null });
      expect(proxy.delayMs).toBeGreaterThan(0);
      const arrived = async () => (await scene.fleet.registered(scene.key)).length > 0;
      await until("the registry has granted the key, although nobody waits for it", arrived);
    },
  ],
  [
    "a start of a key that is active elsewhere",
    async ({ other, start }) => void (await other.json(start())),
    async ({ struck, start }) => {
      const answer = answerOf(await struck.run(start()));
      if (answer !== undefined) expect(answer).toMatchObject({ existing: true, member: "other" });
    },
  ],
  [
    "a cancel of a job of another member",
    async ({ other, start }) => void (await other.json(start())),
    async ({ struck, scene }) => {
      const answer = answerOf(await struck.run(["cancel", "--run-key", scene.key]));
      if (answer !== undefined) expect(answer).toMatchObject({ status: "CANCELLED", member: "other" });
    },
  ],
  [
    "a wait for a job of another member",
    async ({ other, start }) => void (await other.json(start())),
    async ({ struck, scene }) => {
      const waiting = struck.run(["wait", "--run-key", scene.key]);
      scene.gate.open(1);
      expect((await finishedJob(scene.other, scene.key)).status).toBe("SUCCEEDED");
      const answer = answerOf(await waiting);
      if (answer !== undefined) expect(answer).toMatchObject({ status: "SUCCEEDED", member: "other" });
    },
  ],
];

// Last, because it takes the delay away before its command has ended.
const CANCEL_FROM_ELSEWHERE: (typeof ACTS)[number] = [
  "a cancel by another member",
  async ({ struck, start }) => {
    await struck.json(start());
    await struck.untilPublished();
  },
  async ({ other, scene, struck }) => {
    const cancelling = other.run(["cancel", "--run-key", scene.key]);
    await until("the registry has been asked", async () => {
      const rows = await scene.fleet.sql(
        "select from orchesjob.job_records where cancel_request is not null",
      );
      return rows.length > 0;
    });
    // What the agent hears is under way. Then its questions take longer than it waits for answers.
    if (scene.proxy.delayMs > SLOW_MS) scene.proxy.heal();
    expect(answerOf(await cancelling)).toMatchObject({ status: "CANCELLED", member: "struck" });
    expect((await struck.json(["status", "--run-key", scene.key])).status).toBe("CANCELLED");
  },
];

interface Stage {
  readonly scene: FleetScene;
  readonly struck: FleetScene["struck"];
  readonly other: FleetScene["other"];
  readonly start: FleetScene["start"];
}
type Act = (stage: Stage) => Promise<void>;

async function perform(delayMs: number, prepare: Act, act: Act): Promise<void> {
  // With the default lease questions have the longest deadlines. But a claim of which nothing became is given back after a third of it.
  await using scene = await FleetScene.create(await server(), delayMs === SLOW_MS ? "60" : "6");
  const { struck, other } = scene;
  await struck.json(["start", "--sync", "--run-key", "before", "--", "true"]);
  const stage = { scene, struck, other, start: scene.start.bind(scene) };
  await prepare(stage);
  scene.proxy.delayMs = delayMs;
  await act(stage);
  await scene.judge();
}

for (const delayMs of [SLOW_MS, LATE_MS])
  testWith(WITH_SERVER, `with ${delayMs} ms in each direction, commands answer right or exit 5`, async () => {
    const failures: string[] = [];
    await Promise.all(
      [...ACTS, CANCEL_FROM_ELSEWHERE].map(async ([name, prepare, act]) => {
        try {
          await perform(delayMs, prepare, act);
        } catch (error) {
          failures.push(`${name}: ${error instanceof Error ? error.stack : error}`);
        }
      }),
    );
    expect(failures).toEqual([]);
  });

testWith(
  WITH_SERVER,
  "renewals that are late keep a job alive; later than that, it has ended before another member runs its key",
  async () => {
    await using scene = await FleetScene.create(await server(), "3");
    const { struck, other, proxy, fleet, key } = scene;
    const start = scene.start("--on-partition", "stop");
    const job = await struck.answer(start);
    await struck.untilPublished();
    const leaseUntil = async () => {
      const rows = await fleet.sql<{ until: Date }>(
        "select lease_until as until from orchesjob.members where member = 'struck'",
      );
      return rows[0]!.until.getTime();
    };
    proxy.delayMs = 100;
    const before = await leaseUntil();
    await until("the first lease is over, and was renewed", async () => {
      const [renewed] = await fleet.sql<{ renewed: boolean }>(
        `select clock_timestamp() > to_timestamp(${before / 1000}) as renewed`,
      );
      return renewed!.renewed && (await leaseUntil()) > before;
    });
    expect((await struck.json(["status", "--run-key", key])).status).toBe("RUNNING");

    proxy.delayMs = LATE_MS;
    const next = await until("another member runs the key", async () => {
      const answer = await other.answer(start);
      return !answer.existing && answer;
    });
    const ended = await struck.answer(["status", "--job-id", job.job_id]);
    expect(ended).toMatchObject({ status: "FAILED", failure: "partitioned" });
    expect(Date.parse(next.started_at)).toBeGreaterThan(Date.parse(ended.finished_at!));
    expect(next.fencing_token).toBeGreaterThan(job.fencing_token);
    proxy.heal();
    scene.gate.open();
    expect((await finishedJob(other, key)).status).toBe("SUCCEEDED");
    expect(readExecutions(fleet, key)).toMatchObject({
      ...{ started: [job.job_id, next.job_id], ended: [next.job_id], overlapping: [] },
    });
    expect((await struck.json(["start", "--sync", "--run-key", key, "--", "true"])).status).toBe("SUCCEEDED");
  },
);
