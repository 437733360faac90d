/**
 * What the processes of a job's scope have used since the command was launched. Unlike the kernel's account of a command, that
 * counts processes for which nobody has waited: those in the background. The worker is in the scope as well, and takes off what
 * it has used itself.
 */
import { larger, type Usage } from "../job/usage.ts";
import { readUnitUsage } from "../linux/control-group.ts";
import { readTransfer } from "../linux/process-io.ts";

type Counts = Omit<Usage, "maxRssBytes">;

export class ScopeUsage {
  readonly #before: Counts;

  /** Create it before the launch. */
  constructor(readonly unit: string) {
    this.#before = countOthers(unit);
  }

  /**
   * Completes what the kernel says of the command. Each count leaves something out: of the command, what it did not wait for; of
   * the scope, what is not yet written back. So the larger one is closer. The memory of the scope would have the page cache and
   * the worker in it, and is no resident set.
   */
  complete(usage: Usage): Usage {
    const after = countOthers(this.unit);
    const since = (name: keyof Counts) => {
      const [now, then] = [after[name], this.#before[name]];
      return larger(usage[name], now === null || then === null ? null : now - then);
    };
    return {
      ...usage,
      cpuSeconds: since("cpuSeconds"),
      ioReadBytes: since("ioReadBytes"),
      ioWriteBytes: since("ioWriteBytes"),
    };
  }
}

/** What all processes of the scope but this one have used. */
function countOthers(unit: string): Counts {
  const all = readUnitUsage(unit);
  const { user, system } = process.cpuUsage();
  const own: Counts = { cpuSeconds: (user + system) / 1e6, ...readTransfer("self") };
  const others = (name: keyof Counts) => {
    const [total, ours] = [all[name], own[name]];
    return total === null || ours === null ? null : total - ours;
  };
  return {
    cpuSeconds: others("cpuSeconds"),
    ioReadBytes: others("ioReadBytes"),
    ioWriteBytes: others("ioWriteBytes"),
  };
}
