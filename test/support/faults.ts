/**
 * Injects faults into the system calls of a running process, through strace: they fail (or are only counted) until
 * `heal`.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Sandbox, until } from "./sandbox.ts";

const HEAL_TIMEOUT_MS = 2_000;

export interface Faults {
  /** How many calls strace has tampered with so far, and how often the process was stopped. */
  count(): number;
  heal(): Promise<void>;
}

/** `inject` is the value of strace's option, e.g. `pwrite64,fdatasync:error=ENOSPC`. `path`: only into calls about it. */
export async function injectFaults(
  box: Sandbox,
  pid: number,
  inject: string,
  path?: string,
): Promise<Faults> {
  const log = join(box.directory, `faults-${pid}`);
  const calls = inject.slice(0, inject.indexOf(":"));
  const tracer = box.spawn([
    ...["strace", "-f", "-qq", "-o", log, "-e", `trace=${calls}`, "-e", `inject=${inject}`],
    ...(path === undefined ? [] : ["-P", path]),
    ...["-p", String(pid)],
  ]);
  await until("strace is attached", () => isTraced(pid));
  return {
    count: () =>
      existsSync(log)
        ? readFileSync(log, "utf8").split(/\((?:INJECTED|DELAYED)\)|- stopped by /).length - 1
        : 0,
    async heal() {
      tracer.kill("SIGTERM");
      // strace may wait forever for a thread if the traced process has just ended.
      await Promise.race([tracer.exited, Bun.sleep(HEAL_TIMEOUT_MS)]);
      tracer.kill("SIGKILL");
      await box.finished(tracer);
    },
  };
}

function isTraced(pid: number): boolean {
  return !/^TracerPid:\s+0$/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
}
