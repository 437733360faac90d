/** Rest: what a worker, a `wait` and a `run` cost while their job does nothing. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setVariable } from "../../src/linux/ffi/environment.ts";
import { effortOf } from "./process-facts.ts";
import { atMost, type Section } from "./report.ts";
import { ask, launch, waitFor } from "./stopwatch.ts";

export interface RestOptions {
  readonly binary: string;
  readonly scratch: string;
  readonly seconds: number;
  /** How long the processes may take to settle, in ms. */
  readonly settlingMs: number;
}

const MINUTE_S = 60;

export async function measureRest({ binary, scratch, seconds, settlingMs }: RestOptions): Promise<Section> {
  const home = join(scratch, "rest");
  mkdirSync(home, { mode: 0o700 });
  setVariable("ORCHESJOB_HOME", home);
  const job = ask([binary, "start", "--run-key", "silent", "--", "sleep", "1000"], home);
  const callers = [
    { name: "wait", pid: launch([binary, "wait", "--run-key", "silent"]) },
    { name: "run, attached", pid: launch([binary, "run", "--run-key", "silent", "--", "sleep", "1000"]) },
    { name: "logs --follow", pid: launch([binary, "logs", "--follow", "--run-key", "silent"]) },
  ];
  try {
    const watched = [{ name: "idle worker", pid: job.worker_pid }, ...callers];
    await Bun.sleep(settlingMs);
    const before = watched.map(({ pid }) => effortOf(pid));
    await Bun.sleep(seconds * 1000);
    const after = watched.map(({ pid }) => effortOf(pid));
    const rows = watched.flatMap(({ name }, index) => {
      const cpuMs = ((after[index]!.cpuMs - before[index]!.cpuMs) * MINUTE_S) / seconds;
      const sleeps = (after[index]!.sleeps - before[index]!.sleeps) / seconds;
      return [
        atMost(`${name}, processor a minute`, cpuMs, 10, "ms"),
        { name: `${name}, wake-ups a second`, value: sleeps.toFixed(2) },
      ];
    });
    return {
      title: `Rest: a silent job, over ${seconds} s`,
      rows,
      notes: ["All threads, from /proc/PID/task/*/schedstat and the count of voluntary switches."],
    };
  } finally {
    process.kill(job.target_pid);
    for (const { pid } of callers) waitFor(pid);
  }
}
