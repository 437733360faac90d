/**
 * Three members whose callers, agents, workers and registry are killed, stopped and restarted at random. Whatever happens: no two
 * executions of a key at once, no key stuck, ascending tokens, and in the end the registry says what the members say.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { join } from "node:path";
import { Fleet, type FleetAnswer, type Member, serverOfFile } from "../support/fleet.ts";
import { findProcesses } from "../support/processes.ts";
import { testWith } from "../support/needs.ts";
import { BINARY, isAlive, until } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

const FAULTS = process.env["ORCHESJOB_LONG"] ? 400 : 8;
setDefaultTimeout(120_000 + FAULTS * 2_000);
const server = serverOfFile();

const KEYS = ["a", "b", "c", "d"];
const DURATIONS = ["0.05", "0.3", "1", "2"];
const CALLERS = 5;

/** Reproducible: the seed is printed, and may be given. */
class Random {
  #state: number;

  constructor(readonly seed: number) {
    this.#state = seed;
  }

  below(limit: number): number {
    // A linear congruential generator, with the constants of Numerical Recipes.
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }

  of<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}

const EXIT_CODES = [0, 4, 5];

testWith(
  ["postgresql", "sqlite3"],
  "a storm of faults: never twice at once, never stuck, one truth in the end",
  async () => {
    const random = new Random(Number(process.env["ORCHESJOB_SEED"] ?? Date.now() % 2 ** 31));
    const running = await server();
    await using fleet = await Fleet.create(running);
    const members = await fleet.members(3, ["--lease", "3s"]);
    const launchers = new Set<ReturnType<Member["spawn"]>>();
    let isOver = false;
    let starts = 0;

    const call = async () => {
      while (!isOver) {
        const key = random.of(KEYS);
        const words = random.below(4) === 0 ? ["--request-id", `r${random.below(50)}`] : [];
        const policy = random.of(["continue", "stop"]);
        const command = witness(`sleep ${random.of(DURATIONS)}`);
        const member = random.of(members);
        const launcher = member.spawn([
          ...[BINARY, "start", "--run-key", key, "--on-partition", policy, ...words, "--", ...command],
        ]);
        launchers.add(launcher);
        const { code, signal, stderr } = await member.finished(launcher);
        launchers.delete(launcher);
        starts += 1;
        if (signal !== null) continue;
        if (!EXIT_CODES.includes(code!)) throw new Error(`exit ${code}: ${stderr}`);
      }
    };

    const kill = (pids: readonly number[]) => {
      const living = pids.filter(isAlive);
      if (living.length > 0) process.kill(random.of(living), "SIGKILL");
    };
    const faults: Record<string, () => Promise<void> | void> = {
      agent: () => kill(members.flatMap((member) => member.agents())),
      worker: () => kill(members.flatMap((member) => findProcesses(member, "_worker"))),
      both: () => {
        faults["worker"]!();
        faults["agent"]!();
      },
      launcher: () => {
        if (launchers.size > 0) random.of([...launchers]).kill("SIGKILL");
      },
      backend: async () => {
        await fleet.sql(
          "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'orchesjob' order by random() limit 1",
        );
      },
      backends: async () => {
        await fleet.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'orchesjob'");
      },
      standstill: async () => {
        const [agent] = random.of(members).agents();
        if (agent === undefined) return;
        process.kill(agent, "SIGSTOP");
        await Bun.sleep(random.below(5_000));
        if (isAlive(agent)) process.kill(agent, "SIGCONT");
      },
      restart: async () => {
        await running.stop("fast");
        await running.start();
      },
      crash: async () => {
        await running.stop("immediate");
        await Bun.sleep(random.below(2_000));
        await running.start();
      },
      silence: async () => {
        running.freeze("SIGSTOP");
        await Bun.sleep(random.below(3_000));
        running.freeze("SIGCONT");
      },
      cancel: async () => {
        await random.of(members).run(["cancel", "--run-key", random.of(KEYS), "--grace-seconds", "0"]);
      },
    };
    const visited = new Map<string, number>();
    const disturb = async () => {
      try {
        for (let count = 0; count < FAULTS; count++) {
          await Bun.sleep(100 + random.below(500));
          const name = random.of(Object.keys(faults));
          visited.set(name, (visited.get(name) ?? 0) + 1);
          await faults[name]!();
        }
      } finally {
        isOver = true;
      }
    };
    await Promise.all([...Array.from({ length: CALLERS }, call), disturb()]);
    const report = `storm: ${FAULTS} faults (${[...visited].map((each) => each.join(" ")).join(", ")}), ${starts} starts, seed ${random.seed}`;
    console.log(report);

    // Never stuck: each key starts anew from each member.
    for (const key of KEYS)
      for (const member of members)
        await until(`${key} starts on ${member.name}`, async () => {
          const { code, stdout } = await member.run([
            "start",
            "--sync",
            "--run-key",
            key,
            "--",
            ...witness(":"),
          ]);
          const answer = code === 0 ? (JSON.parse(stdout) as FleetAnswer) : undefined;
          return answer?.existing === false && answer.status === "SUCCEEDED";
        });
    for (const member of members) await member.untilPublished();
    for (const key of KEYS) {
      const { started, overlapping } = readExecutions(fleet, key);
      expect({ key, overlapping, report }).toEqual({ key, overlapping: [], report });
      expect(new Set(started).size).toBe(started.length);
      // The registry lists them by token: so tokens ascend in the order of execution.
      const known = (await fleet.registered(key))
        .map((job) => job.job_id)
        .filter((jobId) => started.includes(jobId));
      expect(known.toReversed()).toEqual([...started]);
    }
    // One truth: what a member has recorded is in the registry, if need be beside LOST.
    const known = new Map(
      (
        await fleet.sql<{ job_id: string; status: string; late_status: string | null; holds_key: boolean }>(
          "select * from orchesjob.jobs",
        )
      ).map((job) => [job.job_id, job]),
    );
    const wrong = members.flatMap((member) =>
      localJobs(member).filter(({ job_id, status }) => {
        const there = known.get(job_id);
        return there?.status !== status && there?.late_status !== status;
      }),
    );
    expect(wrong).toEqual([]);
    expect([...known.values()].filter((job) => job.holds_key)).toEqual([]);
  },
);

function localJobs(member: Member): readonly { job_id: string; status: string }[] {
  const database = join(member.home, "orchesjob.db");
  const { stdout } = Bun.spawnSync([
    "sqlite3",
    "-readonly",
    "-json",
    database,
    "select job_id, status from jobs",
  ]);
  return JSON.parse(stdout.toString() || "[]");
}
