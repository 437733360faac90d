/** The hook of a job as a process: the shell that executes it, and who is started to run one that is overdue. */
import type { Job } from "../job/job.ts";
import { environmentWith } from "./environment.ts";
import { closeFile, openFile, statFd } from "./file.ts";
import type { Home } from "./home.ts";
import { SystemError } from "./libc.ts";
import { HOOK_VARIABLE, JOB_ID_VARIABLE } from "./process-tree.ts";
import { readCallerFileLimit } from "./self.ts";
import { spawnProcess } from "./spawn.ts";
import {
  ATTEMPT_VARIABLE,
  callersFileSizeLimit,
  callersUmask,
  keepCallersDirectory,
  openNothing,
  ownCommand,
  RUN_KEY_VARIABLE,
  splitVariable,
  WORKER_DIRECTORY_FD,
} from "./worker-process.ts";

const SHELL = "/bin/sh";

/** Starts a detached process that runs the hooks of these jobs, one after the other. Throws SystemError. */
export function spawnHookRunner(home: Home, jobIds: readonly string[]): void {
  const fileLimit = readCallerFileLimit();
  const settings = fileLimit === undefined ? [] : ["--file-limit", String(fileLimit)];
  // Spawning takes us to the root.
  keepCallersDirectory();
  const nothing = openNothing();
  const first = jobIds[0]!;
  try {
    spawnProcess({
      file: "/proc/self/exe",
      argv: [
        ...ownCommand(),
        ...["_hook", "--home", home.path, ...settings],
        ...jobIds.flatMap((jobId) => ["--job-id", jobId]),
      ],
      descriptors: [nothing, nothing, nothing],
      umask: callersUmask,
      fileLimit,
      fileSizeLimit: callersFileSizeLimit,
      blocked: [],
      directory: "/",
      // We may be part of another job's command, which this process is not.
      environment: environmentWith([
        [JOB_ID_VARIABLE, first],
        [HOOK_VARIABLE, first],
      ]),
    });
  } finally {
    closeFile(nothing);
  }
}

export interface HookSettings {
  /** The caller's soft limit of open files; undefined: unknown. */
  readonly fileLimit: bigint | undefined;
  /** Where the hook begins: a path, or a descriptor that we have. */
  readonly directory: string | typeof WORKER_DIRECTORY_FD;
}

/**
 * Executes a job's hook by the shell, in our environment with what was asked for; in the root where its directory cannot be
 * entered any more. `input` and `output` become its streams, and must be such as moveUp makes. Returns the pid; throws
 * SystemError.
 */
export function spawnHook(
  home: Home,
  { jobId, runKey, attemptNo, status, exitCode, env }: Job,
  command: string,
  { input, output }: { readonly input: number; readonly output: number },
  { fileLimit, directory }: HookSettings,
): number {
  const environment = environmentWith([
    ...env.map(splitVariable),
    [JOB_ID_VARIABLE, jobId],
    [RUN_KEY_VARIABLE, runKey],
    [ATTEMPT_VARIABLE, String(attemptNo)],
    [HOOK_VARIABLE, jobId],
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
      umask: callersUmask,
      fileLimit,
      fileSizeLimit: callersFileSizeLimit,
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
