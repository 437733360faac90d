/** Starts the target: the job's command as a process of its own, as the caller would have started it. */
import type { Job } from "../job/job.ts";
import { callersLimits, openNothing } from "../linux/caller.ts";
import { ERRNO, SystemError } from "../linux/ffi/call.ts";
import { environmentForCommand, getVariable, setVariable, splitVariable } from "../linux/ffi/environment.ts";
import type { SpawnCall } from "../linux/ffi/priority-thread.ts";
import { closeFile, openFile } from "../linux/file.ts";
import { isText, SHELL } from "../linux/shell-script.ts";
import { spawnProcess } from "../linux/spawn.ts";
import { type FileStat, statFd, statPath } from "../linux/stat.ts";
import {
  ANCESTORS_VARIABLE,
  ATTEMPT_VARIABLE,
  FENCING_VARIABLE,
  JOB_ID_VARIABLE,
  RUN_KEY_VARIABLE,
  TOKEN_VARIABLE,
} from "../processes/variables.ts";
import { WORKER_DIRECTORY_FD, WORKER_INPUT_FD } from "./spawn.ts";

/** Variables of the target that orchesjob sets; requested values for them are ignored. */
const OWN_VARIABLES: readonly string[] = [
  JOB_ID_VARIABLE,
  TOKEN_VARIABLE,
  RUN_KEY_VARIABLE,
  ATTEMPT_VARIABLE,
  FENCING_VARIABLE,
  ANCESTORS_VARIABLE,
];

/** Executable by owner, group or others. */
const EXECUTABLE = 0o111;

export interface TargetSettings {
  /** The caller's soft limit of open files; undefined: unknown. */
  readonly fileLimit: bigint | undefined;
  /** The requested directory; undefined: the one that the caller was in. */
  readonly directory: string | undefined;
}

type TargetJob = Pick<Job, "command" | "env" | "stdin" | "attemptNo" | "fencingToken" | "retry">;

/**
 * Launches the target of a job, with the worker's environment and the requested variables; `spawn`: see SpawnRequest. Returns its pid. Throws
 * SystemError.
 */
export function spawnTarget(
  { command, env, stdin, attemptNo, fencingToken, retry }: TargetJob,
  [stdout, stderr]: readonly number[],
  { fileLimit, directory }: TargetSettings,
  spawn?: SpawnCall,
): number {
  // The worker does not have them: both are decided with the claim.
  const asked: [string, string][] = [
    [ATTEMPT_VARIABLE, String(attemptNo)],
    [FENCING_VARIABLE, String(fencingToken ?? "")],
  ];
  for (const text of env) {
    const [name, value] = splitVariable(text);
    if (OWN_VARIABLES.includes(name)) continue;
    asked.push([name, value]);
    // posix_spawnp(3) looks the command up in our PATH.
    if (name === "PATH") setVariable(name, value);
  }
  const nothing = openNothing();
  const entered = directory === undefined ? WORKER_DIRECTORY_FD : openDirectory(directory);
  try {
    // A process can enter a deleted directory, but no caller means that.
    if (statFd(entered)?.links === 0)
      throw new SystemError("cannot enter the working directory", ERRNO.ENOENT, "enter");
    const execute = (file: string, argv: readonly string[]) =>
      spawnProcess({
        file,
        argv,
        descriptors: [stdin === null ? nothing : WORKER_INPUT_FD, stdout!, stderr!],
        ...callersLimits(),
        fileLimit,
        blocked: [],
        spawn,
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
    // The next attempt reads the same file again, whatever has its name by then.
    if (stdin !== null && retry === null) closeFile(WORKER_INPUT_FD);
    if (entered !== WORKER_DIRECTORY_FD) closeFile(entered);
  }
}

export interface FoundCommand {
  /** The path as seen from the command's directory. */
  readonly name: string;
  /** The path as the worker, which is in another directory, can open it. */
  readonly path: string;
  readonly facts: FileStat;
}

/**
 * Finds the file that a command names: the path if there is a slash in it, else the first file in PATH that may be executed,
 * else the first that is there.
 */
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
