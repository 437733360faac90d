/**
 * A thread that starts commands with a priority of their own. On Linux, niceness and I/O class belong to a thread, and a process
 * inherits those of the thread that starts it. So a command has them from its first instruction, and the thread of ours that does
 * all else keeps its own, which it could not take back without permission.
 */
import { OrchesjobError } from "../../job/errors.ts";
import { describeErrno, ERRNO } from "./call.ts";
import { libraryPath } from "./libc.ts";

export interface Priority {
  /** From -20 to 19. */
  readonly nice: number | undefined;
  /** As for ioprio_set(2). */
  readonly ioPriority: number | undefined;
}

/** What the thread runs. It has only this text: a module of its own would be a file of its own. */
const THREAD = `
  const { dlopen, read } = require("bun:ffi");
  onmessage = ({ data: { path, state, words, nice, ioPriority, ioprioSet } }) => {
    const { symbols } = dlopen(path, {
      __errno_location: { args: [], returns: "ptr" },
      setpriority: { args: ["i32", "i32", "i32"], returns: "i32" },
      syscall: { args: ["i64", "i64", "i64", "i64"], returns: "i64" },
      posix_spawnp: { args: ["ptr", "ptr", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
    });
    const fail = (what) => postMessage({ what, errno: read.i32(symbols.__errno_location(), 0) });
    if (nice !== undefined && symbols.setpriority(0, 0, nice) !== 0) return fail("nice");
    if (ioPriority !== undefined && symbols.syscall(ioprioSet, 1, 0, ioPriority) < 0) return fail("io");
    postMessage({});
    for (;;) {
      Atomics.wait(state, 0, 0);
      state[1] = symbols.posix_spawnp(...Array.from(words, Number));
      Atomics.store(state, 0, 0);
      Atomics.notify(state, 0);
    }
  };
`;

const SYS_IOPRIO_SET = process.arch === "arm64" ? 30 : 251;
const ARGUMENTS = 6;
/** How long the thread may take to begin, in ms. */
const TIMEOUT_MS = 30_000;

/** As that of the C library; `addresses` are those of its arguments. */
export type SpawnCall = (addresses: readonly number[]) => number;

/** Calls `use` with a posix_spawnp that gives the child this priority. Throws OrchesjobError if we may not. */
export async function withPriority<T>(priority: Priority, use: (spawn: SpawnCall) => T): Promise<T> {
  const state = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
  const words = new BigInt64Array(new SharedArrayBuffer(ARGUMENTS * BigInt64Array.BYTES_PER_ELEMENT));
  const thread = new Worker(URL.createObjectURL(new Blob([THREAD])));
  try {
    const { promise, resolve, reject } = Promise.withResolvers<{ what?: string; errno?: number }>();
    thread.onmessage = ({ data }) => resolve(data);
    thread.onerror = ({ message }) => reject(failure(message));
    const alarm = setTimeout(() => reject(failure("it did not begin")), TIMEOUT_MS);
    thread.postMessage({ path: libraryPath, state, words, ...priority, ioprioSet: SYS_IOPRIO_SET });
    const { what, errno = ERRNO.EPERM } = await promise.finally(() => clearTimeout(alarm));
    if (what !== undefined) throw refusal(what, errno, priority);
    return use((addresses) => {
      words.set(addresses.map(BigInt));
      Atomics.store(state, 0, 1);
      Atomics.notify(state, 0);
      Atomics.wait(state, 0, 1);
      return state[1]!;
    });
  } finally {
    thread.terminate();
  }
}

function failure(why: string): OrchesjobError {
  return new OrchesjobError("general", `cannot start a thread that sets the priority: ${why}`);
}

function refusal(what: string, errno: number, { nice }: Priority): OrchesjobError {
  const wanted = what === "io" ? "the I/O class of --io-class" : `the niceness ${nice} of --nice`;
  const needs =
    what === "io" ? "realtime needs root" : "less than the caller's needs root, or a limit (ulimit -e)";
  const isForbidden = errno === ERRNO.EPERM || errno === ERRNO.EACCES;
  const why = describeErrno(errno);
  return new OrchesjobError("general", `cannot set ${wanted}: ${why}${isForbidden ? `; ${needs}` : ""}`);
}
