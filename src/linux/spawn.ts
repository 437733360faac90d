/**
 * Starts commands and hooks by posix_spawn, because Bun.spawn cannot change an environment and pass on the rest of it byte for
 * byte. A child leads a session of its own, has the default action for every signal, and gets only the descriptors given. For
 * processes of this program, see own-process.ts.
 */
import { addressOf, cstring, ERRNO, lastErrno, SystemError } from "./ffi/call.ts";
import { environment, type Environment, pointerVector } from "./ffi/environment.ts";
import { libc } from "./ffi/libc.ts";
import type { SpawnCall } from "./ffi/priority-thread.ts";
import { closeFile } from "./file.ts";
import { RLIMIT_FSIZE, RLIMIT_NOFILE, setSoftLimit } from "./limits.ts";

export interface SpawnRequest {
  /** Looked up in PATH if it has no slash. */
  readonly file: string;
  readonly argv: readonly string[];
  /** The child's descriptors 0, 1, 2, …; each number here must be above them all (see moveUp). */
  readonly descriptors: readonly number[];
  readonly umask: number;
  /** Soft limit of open files; undefined: the same as ours. */
  readonly fileLimit: bigint | undefined;
  /** Soft limit of the size of files. */
  readonly fileSizeLimit: bigint;
  /** Signals that are blocked until the child unblocks them (see unblock); all others have their default effect at once. */
  readonly blocked: readonly number[];
  /** Undefined: our environment. */
  readonly environment?: Environment;
  /** Calls posix_spawnp with these addresses in another thread, whose priority the child inherits. */
  readonly spawn?: SpawnCall | undefined;
  /** The child's working directory: a descriptor, or the root. Afterwards our own is the root. */
  readonly directory: number | "/";
}

// <spawn.h> of glibc and musl agree on these; both types fit into 512 bytes on every architecture.
const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const POSIX_SPAWN_SETSID = 0x80;
const OPAQUE_BYTES = 512;
const SIGSET_BYTES = 128;

/** The words of the command, whose addresses the kernel gets: garbage collection must not free them before. */
const kept: (readonly Uint8Array[])[] = [];

/** Starts a child; returns its pid. Throws SystemError with the reason why the file could not be executed. */
export function spawnProcess(request: SpawnRequest): number {
  const attributes = new Uint8Array(OPAQUE_BYTES);
  libc.posix_spawnattr_init(attributes);
  libc.posix_spawnattr_setflags(
    attributes,
    POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID,
  );
  libc.posix_spawnattr_setsigdefault(attributes, new Uint8Array(SIGSET_BYTES).fill(0xff));
  libc.posix_spawnattr_setsigmask(attributes, signalSet(request.blocked));
  const actions = new Uint8Array(OPAQUE_BYTES);
  libc.posix_spawn_file_actions_init(actions);
  for (let position = 0; position < request.descriptors.length; position++)
    libc.posix_spawn_file_actions_adddup2(actions, request.descriptors[position]!, position);

  const argv: Uint8Array[] = [];
  const addresses: number[] = [];
  for (const word of request.argv) addresses.push(addressOf(argv[argv.push(cstring(word)) - 1]!));
  kept[0] = argv;
  const pid = new Int32Array(1);
  const file = cstring(request.file);
  const words = pointerVector(addresses);
  const variables = request.environment?.pointers ?? environment();
  const errno = withAttributes(request, () => {
    if (request.spawn === undefined)
      return libc.posix_spawnp(pid, file, actions, attributes, words, variables);
    const memory = [pid, file, actions, attributes, words].map(addressOf);
    return request.spawn([...memory, typeof variables === "number" ? variables : addressOf(variables)]);
  });
  kept.length = 0;
  libc.posix_spawn_file_actions_destroy(actions);
  if (errno !== 0) throw new SystemError(`cannot execute ${request.file}`, errno, "execute");
  return pid[0]!;
}

/**
 * Says which resource was missing for another process, and what to do; undefined if the error is about the file to be
 * executed. See fork(2) and execve(2).
 */
export function describeShortage(errno: number): string | undefined {
  switch (errno) {
    case ERRNO.EAGAIN:
      return "the limit of processes is reached (ulimit -u, TasksMax=, pids.max); let some end, or raise it";
    case ERRNO.ENOMEM:
      return "there is not enough memory for another process; free some, or raise the limit";
    case ERRNO.EMFILE:
    case ERRNO.ENFILE:
      return "too many files are open; raise the limit (ulimit -n, LimitNOFILE=, fs.file-max)";
    case ERRNO.E2BIG:
      return "its arguments and its environment together are larger than the kernel takes; put them into a file";
    default:
      return undefined;
  }
}

/** A sigset_t: signal N is bit N - 1. */
function signalSet(signals: readonly number[]): Uint8Array {
  const set = new Uint8Array(SIGSET_BYTES);
  for (const signal of signals) set[(signal - 1) >> 3]! |= 1 << ((signal - 1) & 7);
  return set;
}

const SIG_BLOCK = 0;
const SIG_UNBLOCK = 1;
const SIG_SETMASK = 2;

/** Keeps signals from being delivered to this thread until it unblocks them. */
export function block(signals: readonly number[]): void {
  libc.sigprocmask(SIG_BLOCK, signalSet(signals), null);
}

/** Unblocks signals that we, or our parent for us, have blocked; those that came meanwhile arrive now. */
export function unblock(signals: readonly number[]): void {
  libc.sigprocmask(SIG_UNBLOCK, signalSet(signals), null);
}

/** Runs `spawn`, whose child has exactly these signals blocked. */
export function withBlocked<T>(signals: readonly number[], spawn: () => T): T {
  const before = new Uint8Array(SIGSET_BYTES);
  libc.sigprocmask(SIG_SETMASK, signalSet(signals), before);
  try {
    return spawn();
  } finally {
    libc.sigprocmask(SIG_SETMASK, before, null);
  }
}

const ROOT = cstring("/");

function withAttributes(request: SpawnRequest, spawn: () => number): number {
  const { directory } = request;
  if ((directory === "/" ? libc.chdir(ROOT) : libc.fchdir(directory)) !== 0) {
    throw new SystemError("cannot enter the working directory", lastErrno(), "enter");
  }
  try {
    return withLimits(request, spawn);
  } finally {
    libc.chdir(ROOT);
  }
}

/** Sets what a child can only inherit on ourselves while `spawn` runs. */
export function withLimits<T>(
  { umask, fileLimit, fileSizeLimit }: Pick<SpawnRequest, "umask" | "fileLimit" | "fileSizeLimit">,
  spawn: () => T,
): T {
  const ownUmask = libc.umask(umask);
  const restoreFiles = setSoftLimit(RLIMIT_NOFILE, fileLimit);
  const restoreSize = setSoftLimit(RLIMIT_FSIZE, fileSizeLimit);
  try {
    return spawn();
  } finally {
    restoreSize();
    restoreFiles();
    libc.umask(ownUmask);
  }
}

export function closeAll(descriptors: readonly number[]): void {
  for (let index = 0; index < descriptors.length; index++)
    // One that stands for several is closed once: its number may be another's by then.
    if (descriptors.indexOf(descriptors[index]!) === index) closeFile(descriptors[index]!);
}
