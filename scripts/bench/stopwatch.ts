/** Times whole processes, from posix_spawn to the reaped child, with as little of our own as can be. */
import { closeFile, moveUp, openFile } from "../../src/os/file.ts";
import { libc } from "../../src/os/libc.ts";
import { spawnProcess } from "../../src/os/spawn.ts";

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

/** Waits for a child; returns its exit code. */
export function waitFor(pid: number): number {
  const status = new Int32Array(1);
  libc.waitpid(pid, status, 0);
  return (status[0]! >> 8) & 0xff;
}

/** One run, in ms. Throws where it does not exit 0: a failure is fast. */
export function time(argv: readonly string[]): number {
  const begin = performance.now();
  const code = waitFor(launch(argv));
  const took = performance.now() - begin;
  if (code !== 0) throw new Error(`${argv.join(" ")}: exit ${code}`);
  return took;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}
