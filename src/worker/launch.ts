/** Launches a job's command, and explains to the user why it could not be launched. */
import { OrchesjobError } from "../job/errors.ts";
import type { Failure, Job, Outcome } from "../job/job.ts";
import type { Limits } from "../job/limits.ts";
import { toIoPriority } from "../job/priority.ts";
import { shellWord } from "../job/shell-word.ts";
import { describeErrno, ERRNO, SystemError } from "../linux/ffi/call.ts";
import type { SpawnCall } from "../linux/ffi/priority-thread.ts";
import { lockDescriptor } from "../linux/file-lock.ts";
import { makeDirectory, moveUp, openFile } from "../linux/file.ts";
import { hasCarriageReturn } from "../linux/shell-script.ts";
import { closeAll, describeShortage } from "../linux/spawn.ts";
import type { FileStat } from "../linux/stat.ts";
import type { Context } from "../state/context.ts";
import { debug, firstWord } from "../state/debug.ts";
import { readEnvFiles } from "../state/env-files.ts";
import { logFiles } from "../state/paths.ts";
import { launchHint } from "./launch-hint.ts";
import type { PipedOutput } from "./output.ts";
import { findCommand, type FoundCommand, spawnTarget, type TargetSettings } from "./target.ts";

/** A launch that failed. Its `outcome` is the job's. */
export class LaunchError extends Error {
  override readonly name = "LaunchError";

  constructor(
    message: string,
    readonly failure: Failure = "not_launched",
  ) {
    super(message);
  }

  get outcome(): Outcome {
    return { exitCode: -1, signal: null, error: this.message, failure: this.failure, usage: null };
  }
}

/**
 * Opens the logs, or creates the pipes into them, and executes the command with them as its output. Returns its pid. Throws
 * LaunchError.
 */
export async function launch(
  context: Context,
  job: Job,
  settings: TargetSettings,
  piped: PipedOutput | undefined,
): Promise<number> {
  const outputs: number[] = [];
  try {
    outputs.push(...(piped?.open() ?? openLogs(context, job)));
    const env = [...readEnvFiles(job.limits.envFiles), ...job.env];
    const start = (spawn?: SpawnCall) => spawnTarget({ ...job, env }, outputs, settings, spawn);
    const { nice, ioClass } = job.limits;
    const pid = (nice ?? ioClass) === undefined ? start() : await startWith(job.limits, start);
    debug?.note(`launched target ${pid}: ${firstWord(job.command)}`);
    return pid;
  } catch (error) {
    // What the user is told may have more of the command in it.
    if (error instanceof SystemError && error.action === "execute")
      debug?.note(`cannot launch ${firstWord(job.command)}: ${describeErrno(error.errno)}`);
    else debug?.note(`cannot launch ${firstWord(job.command)}`, error);
    piped?.drop();
    if (error instanceof OrchesjobError) throw new LaunchError(error.message);
    throw error instanceof SystemError ? explain(job, settings, error) : error;
  } finally {
    closeAll(outputs);
  }
}

async function startWith<T>({ nice, ioClass }: Limits, start: (spawn: SpawnCall) => T): Promise<T> {
  const { withPriority } = await import("../linux/ffi/priority-thread.ts");
  const ioPriority = ioClass === undefined ? undefined : toIoPriority(ioClass);
  return withPriority({ nice, ioPriority }, start);
}

function openLogs(context: Context, job: Job): readonly number[] {
  const logs = logFiles(context.home, job.jobId);
  const outputs: number[] = [];
  try {
    makeDirectory(context.home.logs);
    for (const path of [logs.stdout, logs.stderr]) {
      const fd = moveUp(openFile(path, "append"));
      outputs.push(fd);
      // A process that inherits the descriptor holds the lock, so we recognize it as long as it has the output open.
      lockDescriptor(fd, path);
    }
    return outputs;
  } catch (error) {
    closeAll(outputs);
    throw error;
  }
}

/** Says what the user must fix: the system's own error text is often about something else. */
function explain(job: Job, settings: TargetSettings, error: SystemError): LaunchError {
  if (error.action === "enter") {
    const gone = settings.directory === undefined ? "is gone" : "does not exist";
    const why = error.errno === ERRNO.ENOENT ? gone : `cannot be entered: ${describeErrno(error.errno)}`;
    return new LaunchError(`the working directory ${job.cwd} ${why}`);
  }
  if (error.action !== "execute") return new LaunchError(error.message);
  const file = job.command[0]!;
  const name = JSON.stringify(file);
  const shortage = describeShortage(error.errno);
  if (shortage !== undefined) return new LaunchError(`cannot execute ${name}: ${shortage}`);
  if (error.errno === ERRNO.ETXTBSY)
    return new LaunchError(`cannot execute ${name}: it is open for writing; try again when it is complete`);
  const found = lookAt(file, settings);
  if (error.errno !== ERRNO.ENOENT) {
    const why = reason(file, found?.facts, error.errno);
    return new LaunchError(`cannot execute ${name}: ${why}`, "not_executable");
  }
  if (found !== undefined) {
    const why = hasCarriageReturn(found.path)
      ? `its first line ends with a carriage return (CRLF), so the interpreter that it names does not exist; fix it: sed -i 's/\\r$//' ${shellWord(found.name)}`
      : "the interpreter that its first line names does not exist";
    return new LaunchError(`cannot execute ${name}: ${why}`, "not_found");
  }
  const hint = launchHint(job.command);
  if (file.includes("/")) return new LaunchError(`no such file: ${name}${hint}`, "not_found");
  return new LaunchError(`command not found: ${name} is in no directory of PATH${hint}`, "not_found");
}

function reason(file: string, facts: FileStat | undefined, errno: number): string {
  if (errno === ERRNO.EACCES && facts?.kind === "directory") return "it is a directory";
  if (errno === ERRNO.EACCES && file.includes("/"))
    return `permission denied; is it executable? chmod +x ${file}`;
  if (errno === ERRNO.ENOEXEC) return "it is neither a program for this system nor a script";
  return describeErrno(errno);
}

function lookAt(file: string, settings: TargetSettings): FoundCommand | undefined {
  try {
    return findCommand(file, settings.directory);
  } catch {
    // The launch failed for a reason of its own; why we cannot see more of it does not matter.
    return undefined;
  }
}
