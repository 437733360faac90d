/** Faults of the kernel in a running process, through strace: its calls fail (or are only counted) until `heal`. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Sandbox, until } from "./sandbox.ts";

const HEAL_PATIENCE_MS = 2_000;

export interface Faults {
  /** How many calls have been tampered with so far. */
  count(): number;
  heal(): Promise<void>;
}

/** `inject` as strace's option has it, e.g. `pwrite64,fdatasync:error=ENOSPC`. */
export async function injectFaults(box: Sandbox, pid: number, inject: string): Promise<Faults> {
  const log = join(box.directory, `faults-${pid}`);
  const calls = inject.slice(0, inject.indexOf(":"));
  const tracer = box.spawn([
    ...["strace", "-f", "-qq", "-o", log, "-e", `trace=${calls}`, "-e", `inject=${inject}`],
    ...["-p", String(pid)],
  ]);
  await until("strace is attached", () => isTraced(pid));
  return {
    count: () =>
      existsSync(log) ? readFileSync(log, "utf8").split(/\((?:INJECTED|DELAYED)\)/).length - 1 : 0,
    async heal() {
      tracer.kill("SIGTERM");
      // Where what it traces has just ended, with all its threads, it may wait for one of them for ever.
      await Promise.race([tracer.exited, Bun.sleep(HEAL_PATIENCE_MS)]);
      tracer.kill("SIGKILL");
      await box.finished(tracer);
    },
  };
}

function isTraced(pid: number): boolean {
  return !/^TracerPid:\s+0$/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
}
