/** Starts the shell that executes a hook, and the process that runs overdue hooks. */
import type { HookKind, Job } from "../job/job.ts";
import type { Limits } from "../job/limits.ts";
import { callersLimits } from "../linux/caller.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { environmentForCommand, splitVariable } from "../linux/ffi/environment.ts";
import { closeFile, moveUp, openFile, readInto } from "../linux/file.ts";
import { makePipe } from "../linux/pipe.ts";
import { spawnOwn } from "../linux/own-process.ts";
import { SHELL } from "../linux/shell-script.ts";
import { spawnProcess } from "../linux/spawn.ts";
import { statFd } from "../linux/stat.ts";
import {
  ANCESTORS_VARIABLE,
  ATTEMPT_VARIABLE,
  FENCING_VARIABLE,
  HOOK_VARIABLE,
  hookMark,
  JOB_ID_VARIABLE,
  RUN_KEY_VARIABLE,
  TOKEN_VARIABLE,
} from "../processes/variables.ts";
import { debug, debugWords } from "../state/debug.ts";
import { readEnvFiles } from "../state/env-files.ts";
import type { Home } from "../state/paths.ts";
import { readCallerFileLimit } from "../systemd/caller-file-limit.ts";

/** The descriptor of a hook runner, beside /dev/null at 0, 1 and 2. */
const HOOK_GATE_FD = 3;

export interface HookRunner {
  readonly pid: number;
  /** Lets it begin. Our own end does the same. */
  release(): void;
}

/** The first call of a hook runner: blocks until the process that started it releases it, or ends. */
export function waitAtHookGate(): void {
  readInto(HOOK_GATE_FD, new Uint8Array(1));
  closeFile(HOOK_GATE_FD);
}

/** Starts a detached process that runs the hooks of these jobs, one after the other, once it is released. Throws SystemError. */
export function spawnHookRunner(home: Home, jobIds: readonly string[]): HookRunner {
  const fileLimit = readCallerFileLimit();
  const settings = fileLimit === undefined ? [] : ["--file-limit", String(fileLimit)];
  const gate = makePipe();
  const closed = moveUp(gate.read);
  const first = jobIds[0]!;
  try {
    const pid = spawnOwn({
      words: [
        ...["_hook", "--home", home.path, ...settings, ...debugWords()],
        ...jobIds.flatMap((jobId) => ["--job-id", jobId]),
      ],
      descriptors: [closed],
      // We may belong to another job's command; the runner does not.
      variables: [
        [JOB_ID_VARIABLE, first],
        [HOOK_VARIABLE, first],
        [ANCESTORS_VARIABLE, ""],
      ],
    });
    return { pid, release: () => closeFile(gate.write) };
  } catch (error) {
    closeFile(gate.write);
    throw error;
  } finally {
    closeFile(closed);
  }
}

export interface HookSettings {
  /** The caller's soft limit of open files; undefined: unknown. */
  readonly fileLimit: bigint | undefined;
  /** Where the hook begins: a path, or a descriptor that we have. */
  readonly directory: string | number;
}

/**
 * Executes a job's hook by the shell, in our environment with what was asked for; in the root where its directory cannot be
 * entered any more. `input` and `output` become its streams, and must be such as moveUp makes. Returns the pid; throws
 * SystemError.
 */
export function spawnHook(
  home: Home,
  { jobId, runKey, attemptNo, status, exitCode, env, limits, token, fencingToken }: Job,
  kind: HookKind,
  command: string,
  { input, output }: { readonly input: number; readonly output: number },
  { fileLimit, directory }: HookSettings,
): number {
  const environment = environmentForCommand([
    ...variablesOf(limits).map(splitVariable),
    ...env.map(splitVariable),
    [JOB_ID_VARIABLE, jobId],
    [RUN_KEY_VARIABLE, runKey],
    [ATTEMPT_VARIABLE, String(attemptNo)],
    [FENCING_VARIABLE, String(fencingToken ?? "")],
    [HOOK_VARIABLE, hookMark(jobId, kind)],
    [TOKEN_VARIABLE, token ?? ""],
    // Absolute, so that the hook finds its job from wherever it is run.
    ["ORCHESJOB_HOME", home.path],
    ["ORCHESJOB_STATUS", status],
    ["ORCHESJOB_EXIT_CODE", exitCode === null ? "" : String(exitCode)],
  ]);
  const execute = (place: number | "/") =>
    spawnProcess({
      file: SHELL,
      argv: [SHELL, "-c", command],
      descriptors: [input, output, output],
      ...callersLimits(),
      fileLimit,
      blocked: [],
      directory: place,
      environment,
    });
  const place = openPlace(directory);
  try {
    return execute(place);
  } catch (error) {
    if (error instanceof SystemError && error.action === "enter") return execute("/");
    throw error;
  } finally {
    if (place !== "/" && place !== directory) closeFile(place);
  }
}

/** None if a file is gone or was changed into something else: the hook matters more. */
function variablesOf({ envFiles }: Limits): readonly string[] {
  try {
    return readEnvFiles(envFiles);
  } catch (error) {
    debug?.note("the hook runs without the variables of --env-file", error);
    return [];
  }
}

/** The root where the directory is not there any more. */
function openPlace(directory: HookSettings["directory"]): number | "/" {
  let place: number;
  try {
    place = typeof directory === "number" ? directory : openFile(directory, "directory");
  } catch (error) {
    if (error instanceof SystemError) return "/";
    throw error;
  }
  return statFd(place)?.links === 0 ? "/" : place;
}
