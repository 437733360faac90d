/**
 * Latency: each command as a whole process, interleaved with an empty executable in an order that changes with each round, so
 * that disturbances of the machine hit all. Each executable runs from several copies in turn: depending on where its pages lie
 * in memory, a copy is up to a sixth slower than another, for as long as it exists.
 */
import { copyFileSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import { setVariable } from "../../src/linux/ffi/environment.ts";
import type { Row, Section } from "./report.ts";
import { median, time } from "./stopwatch.ts";

export interface LatencyOptions {
  readonly binary: string;
  readonly empty: string;
  readonly scratch: string;
  readonly rounds: number;
}

interface Case {
  readonly name: string;
  /** The largest allowed ratio to `empty`; undefined: a floor, for orientation. */
  readonly wanted?: number;
  readonly argv: (round: number) => readonly string[];
}

const COPIES = 4;

/** Time for the worker of a short command to end, in ms. */
const SETTLE_MS = 25;

/** Copies an executable; returns the function that chooses the copy for a round. */
function copies(file: string, directory: string): (round: number) => string {
  const paths = Array.from({ length: COPIES }, (_, index) => join(directory, `${basename(file)}-${index}`));
  for (const path of paths) copyFileSync(file, path);
  return (round) => paths[(round + COPIES) % COPIES]!;
}

/**
 * The numbers below `count`, in random order: a program that always ran after the same one would find the caches as that one
 * left them.
 */
function shuffled(count: number): number[] {
  const numbers = Array.from({ length: count }, (_, index) => index);
  for (let rest = count; rest > 1; rest--) {
    const chosen = Math.floor(Math.random() * rest);
    [numbers[chosen], numbers[rest - 1]] = [numbers[rest - 1]!, numbers[chosen]!];
  }
  return numbers;
}

export async function measureLatency({ binary, empty, scratch, rounds }: LatencyOptions): Promise<Row[]> {
  setVariable("ORCHESJOB_HOME", join(scratch, "latency"));
  const ours = copies(binary, scratch);
  const floors = copies(empty, scratch);
  const command =
    (...words: string[]) =>
    (round: number) => [ours(round), ...words];
  const start = (name: string, ...words: string[]) => ({
    argv: (round: number) => [ours(round), "start", "--run-key", `${name}-${round}`, ...words],
  });
  const python = Bun.which("python3", { PATH: "/usr/bin:/bin" });
  const cases: Case[] = [
    { name: "empty (floor)", argv: (round) => [floors(round)] },
    { name: "setsid true (floor)", argv: () => ["/usr/bin/setsid", "/bin/true"] },
    ...(python === null
      ? []
      : [{ name: "python3 -S -c pass (floor)", argv: () => [python, "-S", "-c", "pass"] }]),
    { name: "--version", wanted: 1.15, argv: command("--version") },
    { name: "status", wanted: 1.4, argv: command("status", "--run-key", "known") },
    { name: "list --limit 20", wanted: 1.5, argv: command("list", "--limit", "20") },
    { name: "logs of an empty log", wanted: 1.4, argv: command("logs", "--run-key", "known") },
    { name: "start", wanted: 2.6, ...start("start", "--", "true") },
    { name: "start --start-timeout 0", wanted: 1.7, ...start("zero", "--start-timeout", "0", "--", "true") },
    { name: "start --sync -- true", wanted: 3.2, ...start("sync", "--sync", "--", "true") },
    {
      name: "run -- true",
      wanted: 3.2,
      argv: (round) => [ours(round), "run", "--run-key", `run-${round}`, "--", "true"],
    },
  ];
  time([binary, "start", "--run-key", "known", "--sync", "--", "true"]);
  const taken = cases.map((): number[] => []);
  for (let round = -3; round < rounds; round++) {
    for (const index of shuffled(cases.length)) {
      const { name, argv } = cases[index]!;
      const ms = time(argv(round));
      // The first rounds warm up the caches.
      if (round >= 0) taken[index]!.push(ms);
      // Its worker would slow down the next command.
      if (/^(start|run)/.test(name)) await Bun.sleep(SETTLE_MS);
    }
  }
  const floor = median(taken[0]!);
  const rows = cases.map((each, index) => {
    const ms = median(taken[index]!);
    return { name: each.name, value: `${ms.toFixed(2)} ms`, ratio: ms / floor, wanted: each.wanted };
  });
  return [...rows, { name: "fdatasync of a page (floor)", value: `${measureSync(scratch).toFixed(2)} ms` }];
}

/** The measurements, with a note of what could not be measured. */
export async function latencySection(options: LatencyOptions): Promise<Section> {
  const rows = await measureLatency(options);
  const missing = Bun.which("python3", { PATH: "/usr/bin:/bin" }) === null ? ["python3"] : [];
  return {
    title: "Latency: whole processes, against an empty executable",
    rows,
    notes: [
      `Medians of ${options.rounds} interleaved runs.`,
      ...missing.map((name) => `NOT MEASURED: ${name}, which is not installed here.`),
    ],
  };
}

function measureSync(scratch: string): number {
  const file = openSync(join(scratch, "page"), "w");
  const page = new Uint8Array(4096);
  const taken = Array.from({ length: 100 }, () => {
    writeSync(file, page);
    const begin = performance.now();
    fdatasyncSync(file);
    return performance.now() - begin;
  });
  return median(taken);
}
