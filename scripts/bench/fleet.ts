/** A fleet: what it adds to a start, how much its registry bears, how soon another member sees an end. Needs PostgreSQL. */
import { SQL } from "bun";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setVariable } from "../../src/linux/ffi/environment.ts";
import { startServer } from "./postgres.ts";
import { effortOf, memoryOf } from "./process-facts.ts";
import { atMost, atLeast, ratioAtLeast, type Row, type Section } from "./report.ts";
import { ask, median, time, timeTogether } from "./stopwatch.ts";

export interface FleetOptions {
  readonly binary: string;
  readonly scratch: string;
  readonly rounds: number;
  /** Starts of a round of throughput. */
  readonly starts: number;
  /** How long the registry is driven, in ms. */
  readonly driveMs: number;
  readonly members: number;
  readonly history: number;
  readonly restSeconds: number;
}

const CALLERS = 8;
const CONNECTIONS = 8;
const SETTLE_MS = 25;

export async function measureFleet(options: FleetOptions): Promise<Section> {
  const { binary, scratch } = options;
  const server = await startServer();
  const homes = ["alone", "first", "second"].map((name) => join(scratch, `fleet-${name}`));
  for (const home of homes) mkdirSync(home, { mode: 0o700 });
  const [alone, first, second] = homes as [string, string, string];
  try {
    for (const [home, name] of [
      [first, "first"],
      [second, "second"],
    ] as const)
      ask([binary, "fleet", "join", server.url, "--name", name], home);
    return {
      title: "Fleet: a registry on the loopback interface",
      rows: [
        ...(await measureLatency(options, alone, first)),
        ...(await measureStarts(options, alone, first)),
        ...(await measureDelay(options, first, second)),
        ...(await measureAgent(options, first)),
        ...(await measureRegistry(options, server.connect)),
      ],
      notes: [
        `Server and clients share this machine's processors. Latency: medians of ${options.rounds} interleaved runs.`,
      ],
    };
  } finally {
    for (const home of [alone, first])
      Bun.spawnSync([binary, "cancel", "--run-key", "known", "--grace-seconds", "0"], {
        env: { ...process.env, ORCHESJOB_HOME: home },
      });
    for (const home of [first, second]) {
      const agent = findAgent(home);
      if (agent !== undefined) process.kill(agent, "SIGKILL");
    }
    server.stop();
  }
}

/** Runs with the state directory `home`. */
function within<T>(home: string, action: () => T): T {
  setVariable("ORCHESJOB_HOME", home);
  return action();
}

async function measureLatency(
  { binary, rounds }: FleetOptions,
  alone: string,
  fleet: string,
): Promise<Row[]> {
  for (const home of [alone, fleet])
    within(home, () => time([binary, "start", "--run-key", "known", "--", "sleep", "1000"]));
  const cases = (["start", "status"] as const).flatMap((name) =>
    [alone, fleet].map((home) => ({ name, home, taken: [] as number[] })),
  );
  for (let round = 0; round < rounds; round++) {
    const ordered = round % 2 === 0 ? cases : cases.toReversed();
    for (const { name, home, taken } of ordered) {
      const words =
        name === "start"
          ? ["start", "--run-key", `k${round}`, "--", "true"]
          : ["status", "--run-key", "known"];
      taken.push(within(home, () => time([binary, ...words])));
      await Bun.sleep(SETTLE_MS);
    }
  }
  const [start, startInFleet, status, statusInFleet] = cases.map(({ taken }) => median(taken)) as [
    number,
    number,
    number,
    number,
  ];
  return [
    { name: "start, without a fleet", value: `${start.toFixed(2)} ms` },
    atMost("start: a fleet adds", startInFleet - start, 12, "ms"),
    { name: "status of an active job, without a fleet", value: `${status.toFixed(2)} ms` },
    { name: "status of an active job: a fleet adds", value: `${(statusInFleet - status).toFixed(2)} ms` },
  ];
}

async function measureStarts({ binary, starts }: FleetOptions, alone: string, fleet: string): Promise<Row[]> {
  const rates = new Map([alone, fleet].map((home) => [home, [] as number[]]));
  for (let round = 0; round < 3; round++)
    for (const [home, found] of rates) {
      const commands = Array.from({ length: starts }, (_, index) => [
        ...[binary, "start", "--run-key", `t${round}-${index}`, "--", "true"],
      ]);
      found.push((starts / within(home, () => timeTogether(CALLERS, commands))) * 1000);
      await Bun.sleep(300);
    }
  const [without, within_] = [...rates.values()].map(median) as [number, number];
  return [
    { name: `starts a second by ${CALLERS} callers, without a fleet`, value: without.toFixed(0) },
    ratioAtLeast(
      `starts a second by ${CALLERS} callers, in a fleet`,
      within_.toFixed(0),
      within_ / without,
      0.8,
    ),
  ];
}

/** From the recorded end of a job until a `wait` of another member has ended. */
async function measureDelay({ binary, rounds }: FleetOptions, first: string, second: string): Promise<Row[]> {
  const delays: number[] = [];
  for (let round = 0; round < Math.ceil(rounds / 4); round++) {
    const key = `delay${round}`;
    ask([binary, "start", "--run-key", key, "--", "sleep", "0.4"], first);
    const waiter = Bun.spawn([binary, "wait", "--run-key", key], {
      env: { ...process.env, ORCHESJOB_HOME: second },
      stdout: "ignore",
    });
    await waiter.exited;
    const seenAt = Date.now();
    const { finished_at } = ask<{ finished_at: string }>([binary, "status", "--run-key", key], first);
    delays.push(seenAt - Date.parse(finished_at));
  }
  return [atMost("delay until another member's wait has ended", median(delays), 20, "ms")];
}

/** Whoever has the lock of the agent open, and is one. */
function findAgent(home: string): number | undefined {
  const { stdout } = Bun.spawnSync(["fuser", join(home, "fleet.agent")]);
  const pids = stdout.toString().trim().split(/\s+/).map(Number);
  return pids.find((pid) =>
    Bun.spawnSync(["ps", "-o", "args=", "-p", String(pid)])
      .stdout.toString()
      .includes("_agent"),
  );
}

async function measureAgent({ restSeconds }: FleetOptions, home: string): Promise<Row[]> {
  const agent = findAgent(home);
  if (agent === undefined) throw new Error("the agent does not run");
  await Bun.sleep(3_000);
  const before = effortOf(agent).cpuMs;
  await Bun.sleep(restSeconds * 1000);
  const cpuMs = ((effortOf(agent).cpuMs - before) * 60) / restSeconds;
  return [
    atMost("agent: processor a minute, one silent job", cpuMs, 30, "ms"),
    atMost("agent: private memory", memoryOf(agent).privateKb / 1024, 12, "MiB"),
  ];
}

const ID = "00000000-0000-4000-8000-";
const memberId = (index: number) => ID + String(index).padStart(12, "0");
const sessions = new Map<number, number>();
const callerOf = (index: number) => ({
  ...{
    member_id: memberId(index),
    boot_id: `boot-${index}`,
    machine_id: `machine-${index}`,
    host: `host-${index}`,
  },
  ...{ session_id: sessions.get(index) ?? 0, beat: 0, epoch: 0, unpublished: 0, version: "bench" },
});

const JOB = {
  ...{ command: ["/usr/local/bin/import.sh", "--day", "2026-05-01"], cwd: "/srv/import", startedAt: 1.79e15 },
  ...{ env: [], labels: { team: "billing" }, scope: "auto", properties: [], output: "file", exitCode: 0 },
  ...{
    finishedAt: 1.79e15,
    timeoutMs: null,
    onExit: null,
    origin: { host: "host-1", bootId: "b", pidNamespace: "4026" },
  },
};

async function measureRegistry(options: FleetOptions, connect: () => SQL): Promise<Row[]> {
  const { driveMs, members, history } = options;
  const clients = Array.from({ length: CONNECTIONS }, connect);
  const [client] = clients as [SQL, ...SQL[]];
  for (let index = 0; index < members; index++)
    await client`select orchesjob.join_fleet(${{
      ...{ member_id: memberId(index), name: `member-${index}`, lease_ms: 60_000, on_partition: "continue" },
      ...{ state_directory: "/var/lib/orchesjob", version: "bench", last_token: 0 },
    }}::jsonb)`;
  let renewals = 0;
  let claims = 0;
  const drive = async (work: (sql: SQL, lane: number) => Promise<void>) => {
    const end = performance.now() + driveMs;
    const begin = performance.now();
    await Promise.all(
      clients.map(async (sql, lane) => {
        while (performance.now() < end) await work(sql, lane);
      }),
    );
    return (performance.now() - begin) / 1000;
  };
  const renewing = await drive(async (sql) => {
    await sql`select orchesjob.renew(${callerOf(renewals++ % members)}::jsonb)`;
  });
  for (let lane = 0; lane < CONNECTIONS; lane++) {
    const [{ session }] = await client`select orchesjob.renew(${callerOf(lane)}::jsonb) as session`;
    sessions.set(lane, session.session_id);
  }
  const claim = async (sql: SQL, lane: number): Promise<string> => {
    const jobId = `bench-${lane}-${claims++}`;
    const order = {
      ...{ job_id: jobId, run_key: jobId, attempt_no: 0, expected: null, strict: false, use_override: false },
      ...{ request_id: null, on_partition: null, job: JOB },
    };
    const [{ answer }] =
      await sql`select orchesjob.claim(${callerOf(lane)}::jsonb, ${order}::jsonb) as answer`;
    if (answer.granted !== true) throw new Error(`the claim was refused: ${answer.refused}`);
    return jobId;
  };
  const claiming = await drive(async (sql, lane) => void (await claim(sql, lane)));
  const claimed = claims;
  claims = 0;
  await client`delete from orchesjob.job_records`;
  const ending = await drive(async (sql, lane) => {
    const jobId = await claim(sql, lane);
    const entry = {
      ...{ job_id: jobId, run_key: jobId, fencing_token: 1, attempt_no: 1, status: "SUCCEEDED" },
      ...{ holds_key: false, on_partition: "continue", is_unstoppable: false, change: 2, job: JOB },
      ...{ request_ids: [], strict: false, output: null },
    };
    await sql`select orchesjob.publish(${callerOf(lane)}::jsonb, ${[entry]}::jsonb)`;
  });
  const size = await measureSize(client, history);
  for (const sql of clients) await sql.close();
  return [
    {
      name: `renewals a second, ${members} members, ${CONNECTIONS} connections`,
      value: (renewals / renewing).toFixed(0),
    },
    atLeast(`claims a second, ${CONNECTIONS} connections`, claimed / claiming, 5_000, ""),
    {
      name: `claims with their ends a second, ${CONNECTIONS} connections`,
      value: (claims / ending).toFixed(0),
    },
    ...size,
  ];
}

async function measureSize(sql: SQL, history: number): Promise<Row[]> {
  const bytes = async () =>
    Number((await sql`select pg_total_relation_size('orchesjob.job_records') as bytes`)[0].bytes);
  const before = await bytes();
  await sql`insert into orchesjob.job_records (job_id, run_key, fencing_token, attempt_no, status, holds_key, member_id,
      session_id, on_partition, change, job)
    select 'h' || n, 'history-' || n % 1000, n, n / 1000, 'SUCCEEDED', false, ${memberId(0)}::uuid,
      (select min(session_id) from orchesjob.sessions), 'continue', 2, ${JOB}::jsonb from generate_series(1, ${history}::int8) n`;
  const perJob = ((await bytes()) - before) / history;
  const begin = performance.now();
  let deleted = 0;
  for (let after: unknown = null, isOver = false; !isOver; isOver = after === null) {
    const [{ answer }] =
      await sql`select orchesjob.clean(${Number.MAX_SAFE_INTEGER}::int8, 0, 1000, ${after}::jsonb, false) as answer`;
    deleted += answer.deleted;
    after = answer.next;
  }
  const rate = (deleted / (performance.now() - begin)) * 1000;
  return [
    {
      name: `size of a job in the registry (${history} of them), without its output`,
      value: `${perJob.toFixed(0)} bytes`,
    },
    { name: "clean --fleet, jobs a second", value: rate.toFixed(0) },
  ];
}
