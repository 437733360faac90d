/** Memory: what an idle worker shares with no other process, and the most that `logs` and `run` take for a large output. */
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setVariable } from "../../src/linux/ffi/environment.ts";
import { memoryOf, peakMemoryOf } from "./process-facts.ts";
import { atMost, type Section } from "./report.ts";
import { ask, launch, median, watch } from "./stopwatch.ts";

export interface MemoryOptions {
  readonly binary: string;
  readonly scratch: string;
  readonly workers: number;
  /** Size of the large output. */
  readonly outputBytes: number;
  /** How long a worker may take to settle, in ms. */
  readonly settlingMs: number;
}

const MIB_KB = 1024;

export async function measureMemory(options: MemoryOptions): Promise<Section> {
  const { binary, scratch, workers, outputBytes, settlingMs } = options;
  const home = join(scratch, "memory");
  mkdirSync(home, { mode: 0o700 });
  setVariable("ORCHESJOB_HOME", home);
  const start = (key: string, ...words: string[]) => ask([binary, "start", "--run-key", key, ...words], home);
  const head = ["head", "-c", String(outputBytes), "/dev/zero"];
  const jobs = Array.from({ length: workers }, (_, index) => start(`idle-${index}`, "--", "sleep", "1000"));
  try {
    const large = start("large", "--", "sh", "-c", `${head.join(" ")}; exec sleep 1000`);
    jobs.push(large);
    while (statSync(large.stdout_file).size < outputBytes) await Bun.sleep(50);
    await Bun.sleep(settlingMs);
    const facts = jobs.map((job) => memoryOf(job.worker_pid));
    const idle = facts.slice(0, workers);
    const size = `${Math.round(outputBytes / 1_000_000)} MB`;
    const peak = (words: readonly string[]) => peakOf([binary, ...words]);
    const mib = (kb: number) => kb / MIB_KB;
    return {
      title: `Memory, with ${workers} idle workers`,
      rows: [
        atMost("idle worker, private", mib(median(idle.map((each) => each.privateKb))), 3, "MiB"),
        atMost("the largest of them", mib(Math.max(...idle.map((each) => each.privateKb))), 3, "MiB"),
        atMost("idle worker, its share (Pss)", mib(median(idle.map((each) => each.pssKb))), 6, "MiB"),
        atMost(`worker of a job that wrote ${size}, private`, mib(facts.at(-1)!.privateKb), 3, "MiB"),
        atMost(`logs of ${size}, peak`, mib(peak(["logs", "--run-key", "large"])), 40, "MiB"),
        {
          name: `run of ${size}, peak`,
          value: `${mib(peak(["run", "--run-key", "run", "--", ...head])).toFixed(2)} MiB`,
        },
        {
          name: "status, peak",
          value: `${mib(peak(["status", "--run-key", "large"])).toFixed(2)} MiB`,
        },
      ],
      notes: [
        "Private and Pss from /proc/PID/smaps_rollup, peaks are VmHWM of the process, which is looked at every ms. They count the 30 MB of program text that all orchesjobs share.",
      ],
    };
  } finally {
    for (const { target_pid: pid } of jobs) process.kill(pid);
  }
}

/** Returns the peak memory of a command, in kB. */
function peakOf(argv: readonly string[]): number {
  const pid = launch(argv);
  let peak = 0;
  const code = watch(pid, () => (peak = Math.max(peak, peakMemoryOf(pid))));
  if (code !== 0) throw new Error(`${argv.join(" ")}: exit ${code}`);
  return peak;
}
