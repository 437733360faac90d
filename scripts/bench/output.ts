/** Output: how fast a command's output gets through `run` and `logs`, and into its log files. */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setVariable } from "../../src/linux/ffi/environment.ts";
import { ratioAtLeast, type Section } from "./report.ts";
import { ask, median, time } from "./stopwatch.ts";

export interface OutputOptions {
  readonly binary: string;
  readonly scratch: string;
  readonly bytes: number;
  readonly rounds: number;
}

const BLOCK_BYTES = 131_072;

export async function measureOutput({ binary, scratch, bytes, rounds }: OutputOptions): Promise<Section> {
  const home = join(scratch, "output");
  const file = join(scratch, "output-file");
  setVariable("ORCHESJOB_HOME", home);
  setVariable("BYTES", String(bytes));
  setVariable("FILE", file);
  setVariable("BINARY", binary);
  const shell = (script: string) => ["sh", "-c", script];
  const source = "head -c $BYTES /dev/zero";
  const cases = {
    cat: shell(`${source} | cat >/dev/null`),
    catFile: shell(`${source} | cat >"$FILE"`),
    run: shell(`"$BINARY" run --run-key r -- ${source} >/dev/null`),
    runPipe: shell(`"$BINARY" run --run-key r -- ${source} | cat >/dev/null`),
    logs: shell(`"$BINARY" logs --run-key r >/dev/null`),
    logsPipe: shell(`"$BINARY" logs --run-key r | cat >/dev/null`),
  };
  // dd(1) times itself, without what is around it.
  const dd = ["dd", "if=/dev/zero", `bs=${BLOCK_BYTES}`, `count=${Math.ceil(bytes / BLOCK_BYTES)}`];
  const redirected: number[] = [];
  const started: number[] = [];
  const taken = Object.fromEntries(Object.keys(cases).map((name) => [name, [] as number[]]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, argv] of Object.entries(cases)) {
      if (!name.startsWith("logs")) clear();
      taken[name]!.push(time(argv));
    }
    clear();
    time(shell(`LC_ALL=C ${dd.join(" ")} >"$FILE" 2>"$FILE.stderr"`));
    redirected.push(secondsOf(`${file}.stderr`));
    clear();
    const start = [binary, "start", "--run-key", "dd", "--sync", "--env", "LC_ALL=C", "--", ...dd];
    started.push(secondsOf(ask<{ stderr_file: string }>(start, home).stderr_file));
  }
  clear();
  const ms = (name: keyof typeof cases) => median(taken[name]!);
  const gigabytes = (spentMs: number) => `${((bytes / spentMs) * 1e-6).toFixed(2)} GB/s`;
  const speed = (name: keyof typeof cases) => gigabytes(ms(name));
  const against = (label: string, name: keyof typeof cases, floor: keyof typeof cases, wanted: number) =>
    ratioAtLeast(label, speed(name), ms(floor) / ms(name), wanted);
  return {
    title: `Output: ${Math.round(bytes / 1_000_000)} MB of zeros`,
    rows: [
      { name: "head, through cat (floor)", value: speed("cat") },
      { name: "head, through cat, and kept in a file (floor)", value: speed("catFile") },
      against("run -- head, to cat that keeps it", "run", "catFile", 0.7),
      { ...against("run -- head, to cat", "run", "cat", 0.7) },
      against("run -- head into a pipe, to cat that keeps it", "runPipe", "catFile", 0.7),
      { name: "dd >FILE, a shell redirection (floor)", value: gigabytes(median(redirected) * 1000) },
      ratioAtLeast(
        "start -- dd, to the redirection",
        gigabytes(median(started) * 1000),
        median(redirected) / median(started),
        0.95,
      ),
      { name: "logs", value: speed("logs") },
      { name: "logs into a pipe", value: speed("logsPipe") },
    ],
    notes: [
      `Medians of ${rounds} interleaved runs of whole commands. What a job writes is kept in a file, so a floor that keeps it, too, is the fair one; the pipe alone is there for orientation.`,
    ],
  };

  /** Frees pages that would slow down the next command. */
  function clear(): void {
    rmSync(home, { recursive: true, force: true });
    rmSync(file, { force: true });
    mkdirSync(home, { mode: 0o700 });
  }
}

/** Returns the time that dd reports, in seconds. */
function secondsOf(file: string): number {
  const text = readFileSync(file, "utf8");
  const seconds = /copied, ([\d.e+-]+) s/.exec(text)?.[1];
  if (seconds === undefined) throw new Error(`dd reports no time: ${text}`);
  return Number(seconds);
}
