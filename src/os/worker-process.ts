/** The worker as a process: how it is started, what it inherits, and how it launches the target in turn. */
import type { Pointer } from "bun:ffi";
import { closeFile, type FileFacts, makePipe, moveUp, openFile, readInto, statFd, statPath } from "./file.ts";
import type { Job, NewJob, ProcessIdentity } from "../job/job.ts";
import { getVariable, setVariable } from "./environment.ts";
import type { Home } from "./home.ts";
import { cstring, ERRNO, libc, SystemError } from "./libc.ts";
import { raiseSoftLimit, RLIMIT_FSIZE } from "./limits.ts";
import { JOB_ID_VARIABLE, TOKEN_VARIABLE } from "./process-tree.ts";
import { readCallerFileLimit, readIdentity } from "./self.ts";
import { dropRuntimeSettings, withRuntimeSettings } from "./runtime-settings.ts";
import { PASSED_ON } from "./signals.ts";
import { closeAll, spawnProcess } from "./spawn.ts";

/** What a worker finds at its start, beside /dev/null at 0, 1 and 2. */
export const WORKER_LOCK_FD = 3;
export const WORKER_DIRECTORY_FD = 4;
const WORKER_GATE_FD = 5;
/** Where the job has an input. */
export const WORKER_INPUT_FD = 6;

export const RUN_KEY_VARIABLE = "ORCHESJOB_RUN_KEY";
export const ATTEMPT_VARIABLE = "ORCHESJOB_ATTEMPT";
/** What the target finds of ours in its environment, whatever was asked for. */
const OWN_VARIABLES: readonly string[] = [
  JOB_ID_VARIABLE,
  TOKEN_VARIABLE,
  RUN_KEY_VARIABLE,
  ATTEMPT_VARIABLE,
];

const PR_SET_NAME = 15;
const PR_SET_CHILD_SUBREAPER = 36;
const F_SETFD = 2;
const FD_CLOEXEC = 1;

/** What the caller gave us, and the target gets; known once setOwnLimits has been called. */
export let callersUmask: number;
export let callersFileSizeLimit: bigint;

/**
 * To be called once, before any file is made: our own files are the owner's alone, and a limit of file sizes, which is meant
 * for the target, would one day be too small for the database. Not at import, which must not change whoever imports us.
 */
export function setOwnLimits(): void {
  callersUmask = libc.umask(0o077);
  callersFileSizeLimit = raiseSoftLimit(RLIMIT_FSIZE);
}

/** Opened before the first spawn, which takes us to the root: a second try must find it as well. */
let callersDirectory: number | undefined;

/** To be called before anything else is spawned by a process that may yet spawn a worker. */
export function keepCallersDirectory(): number {
  return (callersDirectory ??= moveUp(openFile(".", "directory")));
}

export interface PreparedWorker {
  readonly identity: ProcessIdentity;
  /** Lets the worker go on: what it is to execute is in the store now, or never will be. Our own death does the same. */
  release(): void;
}

/**
 * Starts the detached worker of a job; it owns the lock from here on. It waits for its release before it looks for the
 * job, so that it can get ready while the job is being accepted. Throws SystemError.
 */
export function spawnWorker(
  home: Home,
  job: Pick<NewJob, "jobId" | "token" | "runKey" | "attemptNo">,
  lock: number,
  directory: string | undefined,
  input: number | undefined,
): PreparedWorker {
  const fileLimit = readCallerFileLimit();
  const settings = [
    ...(fileLimit === undefined ? [] : ["--file-limit", String(fileLimit)]),
    ...(directory === undefined ? [] : ["--directory", directory]),
  ];
  const gate = makePipe();
  const nothing = openNothing();
  const callersDirectory = keepCallersDirectory();
  const closed = moveUp(gate.read);
  setVariable(JOB_ID_VARIABLE, job.jobId);
  // Not a word of its command line, which everybody can read.
  setVariable(TOKEN_VARIABLE, job.token);
  setVariable(RUN_KEY_VARIABLE, job.runKey);
  setVariable(ATTEMPT_VARIABLE, String(job.attemptNo));
  const request = {
    // Ourselves, even where the file was moved or replaced meanwhile.
    file: "/proc/self/exe",
    descriptors: [
      ...[nothing, nothing, nothing, lock, callersDirectory, closed],
      ...(input === undefined ? [] : [input]),
    ],
    umask: callersUmask,
    fileLimit,
    fileSizeLimit: callersFileSizeLimit,
    // A signal that comes before the worker can pass it on waits, and does not end the worker.
    blocked: Object.values(PASSED_ON),
    directory: "/",
  } as const;
  const argv = [...ownCommand(), "_worker", "--job-id", job.jobId, "--home", home.path, ...settings];
  let pid: number;
  try {
    pid = withRuntimeSettings((names) =>
      spawnProcess({ ...request, argv: names.length === 0 ? argv : [...argv, "--unset", names.join(",")] }),
    );
  } catch (error) {
    closeFile(gate.write);
    throw error;
  } finally {
    closeAll([nothing, closed, lock]);
  }
  return { identity: readIdentity(pid), release: () => closeFile(gate.write) };
}

/** The first words of what /proc/self/exe is executed with, to be this program. */
export function ownCommand(): readonly string[] {
  return Bun.main.startsWith("/$bunfs/") ? ["orchesjob"] : [process.execPath, Bun.main];
}

/** Started by way of /proc/self/exe, we are "exe" to ps and top. */
export function nameProcess(): void {
  libc.prctl(PR_SET_NAME, cstring("orchesjob"), 0n, 0n, 0n);
}

/** Called first by a worker: what it has inherited is its own, and not its target's (`unset`: variables); and it has a name. */
export function becomeWorker(unset: readonly string[]): void {
  dropRuntimeSettings(unset);
  for (const fd of [WORKER_LOCK_FD, WORKER_DIRECTORY_FD, WORKER_INPUT_FD])
    libc.fcntl(fd, F_SETFD, FD_CLOEXEC);
  nameProcess();
  // Descendants of the target whose parent dies become our children, and so stay known as the job's, daemons included.
  libc.prctl(PR_SET_CHILD_SUBREAPER, 1 as Pointer, 0n, 0n, 0n);
}

/** Blocks until the launcher has released us, or is gone. */
export function waitForRelease(): void {
  readInto(WORKER_GATE_FD, new Uint8Array(1));
  closeFile(WORKER_GATE_FD);
}

export interface TargetSettings {
  /** The caller's soft limit of open files; undefined: unknown. */
  readonly fileLimit: bigint | undefined;
  /** The directory that was asked for; undefined: the one that the caller was in. */
  readonly directory: string | undefined;
}

/** Launches the target of a job: the worker's own environment, with what was asked for, is the target's. Returns its pid;
 *  throws SystemError. */
export function spawnTarget(
  { command, env, stdin }: Pick<Job, "command" | "env" | "stdin">,
  [stdout, stderr]: readonly number[],
  { fileLimit, directory }: TargetSettings,
): number {
  // Only now, so that nothing that is meant for the target (BUN_BE_BUN=1, say) makes the worker another program.
  for (const text of env) {
    const [name, value] = splitVariable(text);
    if (!OWN_VARIABLES.includes(name)) setVariable(name, value);
  }
  const nothing = openNothing();
  const entered = directory === undefined ? WORKER_DIRECTORY_FD : openDirectory(directory);
  try {
    // One can enter a directory that was deleted, but no caller means that.
    if (statFd(entered)?.links === 0)
      throw new SystemError("cannot enter the working directory", ERRNO.ENOENT, "enter");
    return spawnProcess({
      file: command[0]!,
      argv: command,
      descriptors: [stdin === null ? nothing : WORKER_INPUT_FD, stdout!, stderr!],
      umask: callersUmask,
      fileLimit,
      fileSizeLimit: callersFileSizeLimit,
      blocked: [],
      directory: entered,
    });
  } finally {
    closeFile(nothing);
    if (stdin !== null) closeFile(WORKER_INPUT_FD);
    if (entered !== WORKER_DIRECTORY_FD) closeFile(entered);
  }
}

/** What the target's command names, seen from its directory, which is not ours; undefined where nothing is there. */
export function statCommand(file: string, { directory }: TargetSettings): FileFacts | undefined {
  const base = directory ?? `/proc/self/fd/${WORKER_DIRECTORY_FD}`;
  const fromThere = (path: string) => statPath(path.startsWith("/") ? path : `${base}/${path}`);
  if (file.includes("/")) return fromThere(file);
  const places = getVariable("PATH")
    .split(":")
    .map((place) => fromThere(`${place || "."}/${file}`));
  return places.find((facts) => facts !== undefined);
}

function openDirectory(path: string): number {
  try {
    return openFile(path, "directory");
  } catch (error) {
    throw error instanceof SystemError
      ? new SystemError(`cannot enter ${path}`, error.errno, "enter")
      : error;
  }
}

export function openNothing(): number {
  return moveUp(openFile("/dev/null", "both"));
}

/** The name and the value of NAME=VALUE. */
export function splitVariable(text: string): [name: string, value: string] {
  const equals = text.indexOf("=");
  return [text.slice(0, equals), text.slice(equals + 1)];
}
