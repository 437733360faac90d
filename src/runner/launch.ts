/** Launching a job's command, and saying for a person why it could not be. */
import type { Failure, Job, Outcome } from "../job/job.ts";
import { makeDirectory, openFile, statPath } from "../os/file.ts";
import { logFiles } from "../os/home.ts";
import { describeErrno, ERRNO, SystemError } from "../os/libc.ts";
import { lockDescriptor, moveUp } from "../os/lock.ts";
import { closeAll } from "../os/spawn.ts";
import { spawnTarget, type TargetSettings } from "../os/worker-process.ts";
import type { Context } from "./context.ts";

/** A launch that failed; its outcome is the job's. */
export class LaunchError extends Error {
  override readonly name = "LaunchError";

  constructor(
    message: string,
    readonly failure: Failure = "not_launched",
  ) {
    super(message);
  }

  get outcome(): Outcome {
    return { exitCode: -1, signal: null, error: this.message, failure: this.failure };
  }
}

/** Opens the logs and executes the command with them as its output; returns its pid. Throws LaunchError. */
export function launch(context: Context, job: Job, settings: TargetSettings): number {
  const logs = logFiles(context.home, job.jobId);
  const outputs: number[] = [];
  try {
    makeDirectory(context.home.logs);
    for (const path of [logs.stdout, logs.stderr]) {
      const fd = moveUp(openFile(path, "append"));
      outputs.push(fd);
      // Held by whatever inherits it, so that a descendant is seen for as long as it has the output open.
      lockDescriptor(fd, path);
    }
    return spawnTarget(job.command, outputs, settings);
  } catch (error) {
    throw error instanceof SystemError ? explain(job, settings, error) : error;
  } finally {
    closeAll(outputs);
  }
}

/** The system's word alone is often about something else than what a person must mend. */
function explain(job: Job, settings: TargetSettings, error: SystemError): LaunchError {
  if (error.action === "enter")
    return new LaunchError(`cannot enter the working directory ${job.cwd}: ${describeErrno(error.errno)}`);
  if (error.action !== "execute") return new LaunchError(error.message);
  const file = job.command[0]!;
  const name = JSON.stringify(file);
  if (!file.includes("/")) {
    if (error.errno === ERRNO.ENOENT)
      return new LaunchError(`command not found: ${name} is in no directory of PATH`, "not_found");
    return new LaunchError(`cannot execute ${name}: ${describeErrno(error.errno)}`, "not_executable");
  }
  const path = file.startsWith("/") ? file : `${settings.directory ?? job.cwd}/${file}`;
  const facts = look(path);
  if (error.errno === ERRNO.ENOENT) {
    if (facts === undefined) return new LaunchError(`no such file: ${name}`, "not_found");
    return new LaunchError(
      `cannot execute ${name}: the interpreter that its first line names does not exist`,
      "not_found",
    );
  }
  return new LaunchError(
    `cannot execute ${name}: ${reason(path, facts?.kind, error.errno)}`,
    "not_executable",
  );
}

function reason(path: string, kind: string | undefined, errno: number): string {
  if (kind === "directory") return "it is a directory";
  if (errno === ERRNO.EACCES) return `permission denied; if it is a program, run: chmod +x ${path}`;
  if (errno === ERRNO.ENOEXEC) return "it is no program that this system can run, and has no #! line";
  return describeErrno(errno);
}

function look(path: string): { readonly kind: string } | undefined {
  try {
    return statPath(path);
  } catch {
    return undefined;
  }
}
