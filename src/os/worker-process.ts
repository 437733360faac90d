/** The worker as a process: how it is started, what it inherits, and how it launches the target in turn. */
import type { Job } from "../job/job.ts";
import { closeFile, openFile, statFd } from "./file.ts";
import type { Home } from "./home.ts";
import { libc } from "./libc.ts";
import { moveUp } from "./lock.ts";
import { JOB_ID_VARIABLE } from "./process-tree.ts";
import { readCallerFileLimit, readEnvironment } from "./self.ts";
import { closeAll, spawnProcess } from "./spawn.ts";

/** What a worker finds at its start, beside /dev/null at 0, 1 and 2. */
export const WORKER_LOCK_FD = 3;
export const WORKER_DIRECTORY_FD = 4;

const F_SETFD = 2;
const FD_CLOEXEC = 1;

/** Our own files are the owner's alone; the caller's umask is kept for the target. */
const callersUmask = libc.umask(0o077);

/** The directory that the caller is in, to come back to whatever its name is or becomes. */
export function openCallersDirectory(): number {
  return moveUp(openFile(".", "directory"));
}

/** Starts the detached worker of a job; it owns the lock from here on. Throws SystemError. */
export function spawnWorker(home: Home, job: Job, lock: number, directory: number): void {
  const fileLimit = readCallerFileLimit();
  const limit = fileLimit === undefined ? [] : ["--file-limit", String(fileLimit)];
  const compiled = Bun.main.startsWith("/$bunfs/");
  const nothing = openNothing();
  const root = moveUp(openFile("/", "directory"));
  try {
    spawnProcess({
      // Ourselves, even where the file was moved or replaced meanwhile.
      file: "/proc/self/exe",
      argv: [
        ...(compiled ? ["orchesjob"] : [process.execPath, Bun.main]),
        ...["_worker", "--job-id", job.jobId, "--home", home.path, ...limit],
      ],
      environment: withVariables(readEnvironment(), {
        [JOB_ID_VARIABLE]: job.jobId,
        ORCHESJOB_RUN_KEY: job.runKey,
        ORCHESJOB_ATTEMPT: String(job.attemptNo),
      }),
      descriptors: [nothing, nothing, nothing, lock, directory],
      umask: callersUmask,
      fileLimit,
      directory: root,
    });
  } finally {
    closeAll([nothing, root]);
  }
}

/** Called first by a worker: what it has inherited is its own, and not its target's. */
export function adoptDescriptors(): void {
  for (const fd of [WORKER_LOCK_FD, WORKER_DIRECTORY_FD]) libc.fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/** Launches the target of a job: the worker's own environment is already the target's. Returns its pid; throws SystemError. */
export function spawnTarget(
  command: readonly string[],
  stdout: number,
  stderr: number,
  fileLimit: bigint | undefined,
): number {
  const nothing = openNothing();
  try {
    return spawnProcess({
      file: command[0]!,
      argv: command,
      environment: readEnvironment(),
      descriptors: [nothing, stdout, stderr],
      umask: callersUmask,
      fileLimit,
      directory: WORKER_DIRECTORY_FD,
    });
  } finally {
    closeFile(nothing);
  }
}

/** False where the caller's directory was deleted since. */
export function directoryExists(): boolean {
  return (statFd(WORKER_DIRECTORY_FD)?.links ?? 0) > 0;
}

function openNothing(): number {
  return moveUp(openFile("/dev/null", "nothing"));
}

const encoder = new TextEncoder();

/** The same entries byte for byte, with ours in place of those of the same name. */
function withVariables(entries: readonly Uint8Array[], variables: Record<string, string>): Uint8Array[] {
  const names = Object.keys(variables).map((name) => encoder.encode(`${name}=`));
  const isOurs = (entry: Uint8Array) =>
    names.some((name) => name.every((byte, index) => entry[index] === byte));
  return [
    ...entries.filter((entry) => !isOurs(entry)),
    ...Object.entries(variables).map(([name, value]) => encoder.encode(`${name}=${value}`)),
  ];
}
