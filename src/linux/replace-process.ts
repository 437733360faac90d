/** Executes this program anew in this same process: execve(2). Pid, children, locks, limits and control group stay. */
import { callersLimits, ownCommand } from "./caller.ts";
import { turn } from "./clock.ts";
import { addressOf, cstring, lastErrno, SystemError } from "./ffi/call.ts";
import { environmentOf, pointerVector, type Variables } from "./ffi/environment.ts";
import { libc } from "./ffi/libc.ts";
import { FORWARDED_SIGNALS } from "./signals.ts";
import { block, unblock, withLimits } from "./spawn.ts";

const SYS_EXECVE = process.arch === "arm64" ? 221n : 59n;
const SYS_CLOSE_RANGE = 436n;
const CLOSE_RANGE_CLOEXEC = 4n;
const FIRST_OWN_DESCRIPTOR = 5n;
const LAST_DESCRIPTOR = 0xffff_ffffn;
const F_SETFD = 2;
const FD_CLOEXEC = 1;

const SIGIO = 29;
const SIG_IGN = 1;

export interface Replacement {
  /** The words of the command line, without the name of the program. */
  readonly words: readonly string[];
  /** The descriptors that stay open, each with the number that it gets. All others are closed, except for 0, 1 and 2. */
  readonly descriptors: readonly (readonly [fd: number, number: number])[];
  /** Variables to set in the environment, which is ours otherwise. */
  readonly variables: Variables;
  /** The signals that came to this process and are meant for the new program, which gets them (see unblock). */
  readonly signals: () => Iterable<number>;
}

/** What the kernel reads by its address: garbage collection must not free it before. */
const kept = new Set<unknown>();

/** Returns only if it fails: the error. The descriptors have their new numbers then. */
export async function replaceProcess({
  words,
  descriptors,
  variables,
  signals,
}: Replacement): Promise<SystemError> {
  const argv = [...ownCommand(), ...words].map(cstring);
  const file = cstring("/proc/self/exe");
  const environment = environmentOf(variables);
  const pointers = pointerVector(argv.map(addressOf));
  kept.add([argv, file, environment, pointers]);
  const limits = { ...callersLimits(), fileLimit: undefined };
  const forwarded = Object.values(FORWARDED_SIGNALS);
  // The runtime forgets a signal that it has caught and not told us. One that is blocked stays pending for the new program.
  block(forwarded);
  try {
    // What it has caught before reaches its listeners.
    await turn();
    libc.syscall(SYS_CLOSE_RANGE, FIRST_OWN_DESCRIPTOR, LAST_DESCRIPTOR, CLOSE_RANGE_CLOEXEC, 0n);
    for (const [fd, number] of descriptors) {
      if (fd === number) libc.fcntl(fd, F_SETFD, 0);
      else libc.dup2(fd, number);
    }
    const errno = withLimits(limits, () => {
      // A write to the former lock may have sent us one, and by default it would end the new program.
      const listener = libc.signal(SIGIO, SIG_IGN as never);
      for (const number of signals()) libc.kill(process.pid, number);
      libc.syscall(
        SYS_EXECVE,
        BigInt(addressOf(file)),
        BigInt(addressOf(pointers)),
        BigInt(addressOf(environment.pointers)),
        0n,
      );
      const failed = lastErrno();
      libc.signal(SIGIO, listener);
      return failed;
    });
    for (const [, number] of descriptors) libc.fcntl(number, F_SETFD, FD_CLOEXEC);
    return new SystemError("cannot execute orchesjob anew", errno, "execute");
  } finally {
    unblock(forwarded);
    kept.clear();
  }
}
