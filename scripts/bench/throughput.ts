/** Throughput: starts per second of eight callers at once, against the same callers running an empty executable. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setVariable } from "../../src/linux/ffi/environment.ts";
import { ratioAtLeast, type Section } from "./report.ts";
import { ask, median, timeTogether } from "./stopwatch.ts";

export interface ThroughputOptions {
  readonly binary: string;
  readonly empty: string;
  readonly scratch: string;
  /** Processes in a round. */
  readonly starts: number;
  readonly rounds: number;
}

const CALLERS = 8;
const WANTED = 0.3;

export async function measureThroughput(options: ThroughputOptions): Promise<Section> {
  const { binary, empty, scratch, starts, rounds } = options;
  const home = join(scratch, "throughput");
  mkdirSync(home, { mode: 0o700 });
  setVariable("ORCHESJOB_HOME", home);
  const active = ask([binary, "start", "--run-key", "active", "--", "sleep", "1000"], home);
  const start = (key: string) => [binary, "start", "--run-key", key, "--", "true"];
  const cases = [
    { name: "empty (floor)", argv: () => [empty] },
    { name: "start, a key each", argv: (round: number, index: number) => start(`key-${round}-${index}`) },
    { name: "start, one key, whose job ends at once", argv: () => start("one") },
    { name: "start, one key, whose job is active", argv: () => start("active") },
  ];
  const rates = cases.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [which, { argv }] of cases.entries()) {
      const commands = Array.from({ length: starts }, (_, index) => argv(round, index));
      rates[which]!.push((starts / timeTogether(CALLERS, commands)) * 1000);
      // The last jobs are still running.
      await Bun.sleep(200);
    }
  }
  process.kill(active.target_pid);
  const floor = median(rates[0]!);
  const rows = cases.map(({ name }, which) => {
    const rate = median(rates[which]!);
    const value = `${rate.toFixed(0)} a second`;
    return which === 0 ? { name, value } : ratioAtLeast(name, value, rate / floor, WANTED);
  });
  return {
    title: `Throughput: ${CALLERS} callers at once`,
    rows,
    notes: [
      `Medians of ${rounds} interleaved rounds of ${starts} processes. Each start that finds no active job also runs a worker and its command, beside the next callers.`,
    ],
  };
}
