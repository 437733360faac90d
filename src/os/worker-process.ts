/** The worker as a process: how it is started, what it inherits, and how it launches the target in turn. */
import type { Pointer } from "bun:ffi";
import { OrchesjobError } from "../job/errors.ts";
import type { Job, NewJob, ProcessIdentity } from "../job/job.ts";
import {
  environmentForCommand,
  environmentForWorker,
  getVariable,
  setVariable,
  type Variables,
} from "./environment.ts";
import { ANCESTORS_VARIABLE, enclosingJobs } from "./enclosing-jobs.ts";
import {
  closeFile,
  type FileFacts,
  makePipe,
  moveUp,
  openFile,
  readInto,
  readLink,
  statFd,
  statPath,
} from "./file.ts";
import { type Home, homeAt } from "./home.ts";
import { cstring, ERRNO, libc, SystemError } from "./libc.ts";
import { LEAST_FILE_SIZE, raiseSoftLimit, RLIMIT_FSIZE } from "./limits.ts";
import { JOB_ID_VARIABLE, RUN_KEY_VARIABLE, TOKEN_VARIABLE } from "./process-tree.ts";
import { readCallerFileLimit, readIdentity } from "./self.ts";
import { PASSED_ON } from "./signals.ts";
import { isText, SHELL } from "./shell-script.ts";
import { closeAll, describeShortage, spawnProcess } from "./spawn.ts";

/** What a worker finds at its start, beside /dev/null at 0, 1 and 2. */
export const WORKER_LOCK_FD = 3;
export const WORKER_DIRECTORY_FD = 4;
const WORKER_GATE_FD = 5;
/** Where the job has an input. */
export const WORKER_INPUT_FD = 6;

export const ATTEMPT_VARIABLE = "ORCHESJOB_ATTEMPT";
/** What the target finds of ours in its environment, whatever was asked for. */
const OWN_VARIABLES: readonly string[] = [
  JOB_ID_VARIABLE,
  TOKEN_VARIABLE,
  RUN_KEY_VARIABLE,
  ATTEMPT_VARIABLE,
  ANCESTORS_VARIABLE,
];

/** By anybody. */
const EXECUTABLE = 0o111;

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
  callersFileSizeLimit = raiseSoftLimit(RLIMIT_FSIZE, LEAST_FILE_SIZE);
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
  job: JobWords,
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
  let pid: number;
  try {
    pid = spawnProcess({
      // Ourselves, even where the file was moved or replaced meanwhile.
      file: "/proc/self/exe",
      argv: [...ownCommand(), "_worker", "--job-id", job.jobId, "--home", home.path, ...settings],
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
      environment: environmentForWorker(jobVariables(job)),
    });
  } catch (error) {
    closeFile(gate.write);
    throw explainSpawn(error);
  } finally {
    closeAll([nothing, closed, lock]);
  }
  return { identity: readIdentity(pid), release: () => closeFile(gate.write) };
}

/** A worker is this same program, so whatever failed, the program was not it. */
function explainSpawn(error: unknown): unknown {
  const shortage = error instanceof SystemError ? describeShortage(error.errno) : undefined;
  if (shortage === undefined) return error;
  return new OrchesjobError("general", `cannot start a worker, so nothing runs: ${shortage}`);
}

type JobWords = Pick<NewJob, "jobId" | "token" | "runKey" | "attemptNo">;

/** Here and not in the words of its command line, which everybody can read. */
function jobVariables({ jobId, token, runKey, attemptNo }: JobWords): Variables {
  const ancestors = enclosingJobs();
  return [
    [JOB_ID_VARIABLE, jobId],
    [TOKEN_VARIABLE, token],
    [RUN_KEY_VARIABLE, runKey],
    [ATTEMPT_VARIABLE, String(attemptNo)],
    ...(ancestors.length === 0 ? [] : [[ANCESTORS_VARIABLE, ancestors.join(" ")] as const]),
  ];
}

/** The first words of what /proc/self/exe is executed with, to be this program. */
export function ownCommand(): readonly string[] {
  return Bun.main.startsWith("/$bunfs/") ? ["orchesjob"] : [process.execPath, Bun.main];
}

/** Started by way of /proc/self/exe, we are "exe" to ps and top. */
export function nameProcess(): void {
  libc.prctl(PR_SET_NAME, cstring("orchesjob"), 0n, 0n, 0n);
}

/** Called first by a worker: what it has inherited is its own, and not its target's; and it has a name. */
export function becomeWorker(): void {
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

/** The state directory by the lock file that a worker has open, wherever it was moved to; undefined where it was deleted. */
export function locateOwnHome(): Home | undefined {
  const lock = `/proc/self/fd/${WORKER_LOCK_FD}`;
  if (statPath(lock)?.links !== 1) return undefined;
  const path = /^(.+)\/locks\/[^/]+$/.exec(readLink(lock))?.[1];
  return path === undefined ? undefined : homeAt(path);
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
  const asked: [string, string][] = [];
  for (const text of env) {
    const [name, value] = splitVariable(text);
    if (OWN_VARIABLES.includes(name)) continue;
    asked.push([name, value]);
    // The command is looked up by ours.
    if (name === "PATH") setVariable(name, value);
  }
  const nothing = openNothing();
  const entered = directory === undefined ? WORKER_DIRECTORY_FD : openDirectory(directory);
  try {
    // One can enter a directory that was deleted, but no caller means that.
    if (statFd(entered)?.links === 0)
      throw new SystemError("cannot enter the working directory", ERRNO.ENOENT, "enter");
    const execute = (file: string, argv: readonly string[]) =>
      spawnProcess({
        file,
        argv,
        descriptors: [stdin === null ? nothing : WORKER_INPUT_FD, stdout!, stderr!],
        umask: callersUmask,
        fileLimit,
        fileSizeLimit: callersFileSizeLimit,
        blocked: [],
        directory: entered,
        environment: environmentForCommand(asked),
      });
    try {
      return execute(command[0]!, command);
    } catch (error) {
      const isNoProgram = error instanceof SystemError && error.errno === ERRNO.ENOEXEC;
      const found = isNoProgram ? findCommand(command[0]!, directory) : undefined;
      if (found === undefined || !isText(found.path)) throw error;
      return execute(SHELL, [SHELL, found.name, ...command.slice(1)]);
    }
  } finally {
    closeFile(nothing);
    if (stdin !== null) closeFile(WORKER_INPUT_FD);
    if (entered !== WORKER_DIRECTORY_FD) closeFile(entered);
  }
}

export interface FoundCommand {
  /** As the command itself would name it, in its directory. */
  readonly name: string;
  /** As we can open it, who are in another directory. */
  readonly path: string;
  readonly facts: FileFacts;
}

/** What the target's command names, by its slash or the first in PATH that may be executed; else the first that is there. */
export function findCommand(file: string, directory: TargetSettings["directory"]): FoundCommand | undefined {
  const base = directory ?? `/proc/self/fd/${WORKER_DIRECTORY_FD}`;
  const names = file.includes("/")
    ? [file]
    : getVariable("PATH")
        .split(":")
        .map((place) => `${place || "."}/${file}`);
  const found = names.flatMap((name) => {
    const path = name.startsWith("/") ? name : `${base}/${name}`;
    const facts = statPath(path);
    return facts === undefined ? [] : [{ name, path, facts }];
  });
  return found.find(({ facts }) => facts.kind === "file" && (facts.mode & EXECUTABLE) !== 0) ?? found[0];
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
