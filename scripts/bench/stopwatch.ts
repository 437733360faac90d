/** Times whole processes, from posix_spawn to the reaped child, with as little overhead as possible. */
import { closeFile, moveUp, openFile } from "../../src/linux/file.ts";
import { libc } from "../../src/linux/ffi/libc.ts";
import { spawnProcess } from "../../src/linux/spawn.ts";

/** Starts a command with everything at /dev/null; returns its pid. */
export function launch(argv: readonly string[]): number {
  const nothing = moveUp(openFile("/dev/null", "both"));
  const pid = spawnProcess({
    file: argv[0]!,
    argv,
    descriptors: [nothing, nothing, nothing],
    umask: 0o022,
    fileLimit: undefined,
    fileSizeLimit: 2n ** 64n - 1n,
    blocked: [],
    directory: "/",
  });
  closeFile(nothing);
  return pid;
}

const status = new Int32Array(1);
const WNOHANG = 1;
const ANY_CHILD = -1;

/** Waits for a child; returns its exit code. */
export function waitFor(pid: number): number {
  libc.wait4(pid, status, 0, null);
  return (status[0]! >> 8) & 0xff;
}

/** Calls `look` repeatedly while the child runs; returns its exit code. */
export function watch(pid: number, look: () => void): number {
  while (libc.wait4(pid, status, WNOHANG, null) === 0) {
    look();
    Bun.sleepSync(1);
  }
  return (status[0]! >> 8) & 0xff;
}

/** Times one run, in ms. Throws unless it exits 0: a failure is fast. */
export function time(argv: readonly string[]): number {
  const begin = performance.now();
  const code = waitFor(launch(argv));
  const took = performance.now() - begin;
  if (code !== 0) throw new Error(`${argv.join(" ")}: exit ${code}`);
  return took;
}

/** Runs commands, `callers` at a time; returns the ms from the first start to the last end. Throws unless all exit 0. */
export function timeTogether(callers: number, commands: readonly (readonly string[])[]): number {
  const begin = performance.now();
  for (let started = 0, ended = 0; ended < commands.length;) {
    if (started < commands.length && started - ended < callers) {
      launch(commands[started++]!);
      continue;
    }
    libc.wait4(ANY_CHILD, status, 0, null);
    if (status[0] !== 0)
      throw new Error(`${commands[0]!.join(" ")}, or one like it: wait status ${status[0]}`);
    ended += 1;
  }
  return performance.now() - begin;
}

/** Runs orchesjob, which must exit 0, and returns its JSON answer. */
export function ask<T = { job_id: string; worker_pid: number; target_pid: number; stdout_file: string }>(
  argv: readonly string[],
  home: string,
): T {
  const { stdout, stderr, exitCode } = Bun.spawnSync([...argv], {
    env: { ...process.env, ORCHESJOB_HOME: home },
  });
  if (exitCode !== 0) throw new Error(`${argv.join(" ")}: exit ${exitCode}: ${stderr.toString()}`);
  return JSON.parse(stdout.toString()) as T;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}
