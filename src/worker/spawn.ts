/** Starts the worker, and defines what it inherits. */
import { OrchesjobError } from "../job/errors.ts";
import type { NewJob, ProcessIdentity } from "../job/job.ts";
import { keepCallersDirectory, nameProcess } from "../linux/caller.ts";
import { prctl, SystemError } from "../linux/ffi/call.ts";
import type { Variables } from "../linux/ffi/environment.ts";
import { libc } from "../linux/ffi/libc.ts";
import { closeFile, moveUp, readInto, readLink, writeAll } from "../linux/file.ts";
import { makePipe } from "../linux/pipe.ts";
import { spawnOwn } from "../linux/own-process.ts";
import { readIdentity, readPendingSignals } from "../linux/self.ts";
import { FORWARDED_SIGNALS } from "../linux/signals.ts";
import { closeAll, describeShortage } from "../linux/spawn.ts";
import { statPath } from "../linux/stat.ts";
import {
  ANCESTORS_VARIABLE,
  enclosingJobs,
  JOB_ID_VARIABLE,
  RUN_KEY_VARIABLE,
  TOKEN_VARIABLE,
} from "../processes/variables.ts";
import { debugWords } from "../state/debug.ts";
import { type Home, homeAt } from "../state/paths.ts";
import { readCallerFileLimit } from "../systemd/caller-file-limit.ts";

/** The descriptors of a worker, beside /dev/null at 0, 1 and 2. */
export const WORKER_LOCK_FD = 3;
export const WORKER_DIRECTORY_FD = 4;
const WORKER_GATE_FD = 5;
/** Only if the job has an input. */
export const WORKER_INPUT_FD = 6;
const PR_SET_CHILD_SUBREAPER = 36;
const F_SETFD = 2;
const FD_CLOEXEC = 1;

export interface PreparedWorker {
  readonly identity: ProcessIdentity;
  /** Lets the worker continue: its job is in the store now, or never will be. Our own end does the same. */
  release(): void;
}

/**
 * Starts the detached worker of a job, which owns the lock from here on. It waits for its release before it looks for the job,
 * so that it starts up while the job is being accepted. Throws SystemError, or OrchesjobError if a resource is missing.
 */
export function spawnWorker(
  home: Home,
  job: JobWords,
  lock: number,
  directory: string | undefined,
  input: number | undefined,
): PreparedWorker {
  const fileLimit = readCallerFileLimit();
  const settings = [
    ...(fileLimit === undefined ? [] : ["--file-limit", String(fileLimit)]),
    ...(directory === undefined ? [] : ["--directory", directory]),
    ...debugWords(),
  ];
  const gate = makePipe();
  const callersDirectory = keepCallersDirectory();
  const closed = moveUp(gate.read);
  let pid: number;
  try {
    pid = spawnOwn({
      words: ["_worker", "--job-id", job.jobId, "--home", home.path, ...settings],
      descriptors: [lock, callersDirectory, closed, ...(input === undefined ? [] : [input])],
      // Until the worker can forward them, so that an early signal does not kill it.
      blocked: Object.values(FORWARDED_SIGNALS),
      variables: jobVariables(job),
    });
  } catch (error) {
    closeFile(gate.write);
    throw explainSpawn(error);
  } finally {
    closeAll([closed, lock]);
  }
  tellEarlySignals(pid, gate.write);
  return { identity: readIdentity(pid), release: () => closeFile(gate.write) };
}

/**
 * Names the signals to a new worker that came before it had a session of its own: they were sent to the process group of its
 * caller, and must not reach the command. They are pending in it, because they are blocked.
 */
function tellEarlySignals(pid: number, gate: number): void {
  const pending = readPendingSignals(pid);
  if (pending === 0n) return;
  const early = Object.values(FORWARDED_SIGNALS).filter((signal) => (pending >> BigInt(signal - 1)) & 1n);
  if (early.length > 0) writeAll(gate, Uint8Array.from(early));
}

/** Explains a failed spawn. The worker is this same program, so the file itself is not the reason. */
function explainSpawn(error: unknown): unknown {
  const shortage = error instanceof SystemError ? describeShortage(error.errno) : undefined;
  if (shortage === undefined) return error;
  return new OrchesjobError("general", `cannot start a worker, so nothing runs: ${shortage}`);
}

type JobWords = Pick<NewJob, "jobId" | "token" | "runKey">;

/** The variables of the job. The token must not be in the command line, which everybody can read. */
function jobVariables({ jobId, token, runKey }: JobWords): Variables {
  const ancestors = enclosingJobs();
  return [
    [JOB_ID_VARIABLE, jobId],
    [TOKEN_VARIABLE, token],
    [RUN_KEY_VARIABLE, runKey],
    ...(ancestors.length === 0 ? [] : [[ANCESTORS_VARIABLE, ancestors.join(" ")] as const]),
  ];
}

/** The first call of a worker: keeps its descriptors from its target, sets its name, and becomes a subreaper. */
export function becomeWorker(): void {
  for (const fd of [WORKER_LOCK_FD, WORKER_DIRECTORY_FD, WORKER_INPUT_FD])
    libc.fcntl(fd, F_SETFD, FD_CLOEXEC);
  nameProcess();
  // Descendants of the target become our children when their parents end, daemons included, and so stay known as the job's.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/** Blocks until the launcher has released us, or is gone. Returns the signals that were not meant for us: see tellEarlySignals. */
export function waitForRelease(): readonly number[] {
  const early: number[] = [];
  const byte = new Uint8Array(1);
  while (readInto(WORKER_GATE_FD, byte) > 0) early.push(byte[0]!);
  closeFile(WORKER_GATE_FD);
  return early;
}

/** The state directory by the lock file that a worker has open, wherever that was moved to; undefined if it was deleted. */
export function locateOwnHome(): Home | undefined {
  const lock = `/proc/self/fd/${WORKER_LOCK_FD}`;
  if (statPath(lock)?.links !== 1) return undefined;
  const path = /^(.+)\/locks\/[^/]+$/.exec(readLink(lock))?.[1];
  return path === undefined ? undefined : homeAt(path);
}
