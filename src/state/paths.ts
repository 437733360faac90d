/** The names of what is in the state directory. Accesses no file. */
import { OrchesjobError } from "../job/errors.ts";
import type { HookKind, Job } from "../job/job.ts";

export const DEFAULT_HOME = "/var/lib/orchesjob";

export interface Home {
  readonly path: string;
  readonly database: string;
  readonly logs: string;
  readonly locks: string;
  /** FIFOs of jobs whose output is a pipe; created with the first of them. */
  readonly pipes: string;
  /** The membership in a fleet: fleet/membership.ts. There only if the state directory is in one. */
  readonly fleet: string;
}

/** The state directory that the environment names, made absolute. */
export function resolveHome(): Home {
  const named = process.env["ORCHESJOB_HOME"] || DEFAULT_HOME;
  if (named.includes("\uFFFD")) {
    throw new OrchesjobError("usage", "ORCHESJOB_HOME is not valid UTF-8", "use a path that is");
  }
  // In the root directory, cwd() ends with the slash.
  return homeAt(named.startsWith("/") ? named : `${process.cwd()}/${named}`.replace(/^\/+/, "/"));
}

export function homeAt(path: string): Home {
  let end = path.length;
  while (end > 1 && path[end - 1] === "/") end -= 1;
  const clean = path.slice(0, end);
  return {
    path: clean,
    database: `${clean}/orchesjob.db`,
    logs: `${clean}/logs`,
    locks: `${clean}/locks`,
    pipes: `${clean}/pipes`,
    fleet: `${clean}/fleet.json`,
  };
}

export function logFiles(home: Home, jobId: string): { readonly stdout: string; readonly stderr: string } {
  return { stdout: `${home.logs}/${jobId}.stdout`, stderr: `${home.logs}/${jobId}.stderr` };
}

/** The copy of the caller's stdin, for a job that gets it. */
export function stdinFile(home: Home, jobId: string): string {
  return `${home.logs}/${jobId}.stdin`;
}

/** As logFiles: the FIFOs of a job whose output is a pipe. */
export function pipeFiles(home: Home, jobId: string): { readonly stdout: string; readonly stderr: string } {
  return { stdout: `${home.pipes}/${jobId}.stdout`, stderr: `${home.pipes}/${jobId}.stderr` };
}

/** The end of a stream whose log has a limit: see worker/limited-log.ts. */
export interface TailFiles {
  readonly tail: string;
  /** What came before it. */
  readonly before: string;
  /** A file that is to become the tail. */
  readonly next: string;
}

/** Each of them begins with two numbers. */
export const TAIL_HEADER_BYTES = 16;

export function tailFiles(home: Home, jobId: string, stream: LogStream): TailFiles {
  const tail = `${pipeFiles(home, jobId)[stream]}.tail`;
  return { tail, before: `${tail}.before`, next: `${tail}.next` };
}

export function pipeAndTailFiles(home: Home, jobId: string): readonly string[] {
  const tails = LOG_STREAMS.flatMap((stream) => Object.values(tailFiles(home, jobId, stream)));
  return [...Object.values(pipeFiles(home, jobId)), ...tails];
}

/** When which part of the output of a job came, if it goes through pipes: see output-index.ts. */
export function outputIndexFile(home: Home, jobId: string): string {
  return `${home.logs}/${jobId}.times`;
}

/** The files that every process locks by inheriting the job's output. */
export function outputFiles(home: Home, { jobId, output }: Pick<Job, "jobId" | "output">): readonly string[] {
  const { stdout, stderr } = output === "pipe" ? pipeFiles(home, jobId) : logFiles(home, jobId);
  return [stdout, stderr];
}

/** The copy of the Python orchesjob's database that an upgrade keeps. */
export function pythonCopy(home: Home): string {
  return `${home.database}.python`;
}

/** Names of the database and of the files that belong to it, in the order in which they are created. */
export function databaseFiles(home: Home): readonly string[] {
  return [...["", "-wal", "-shm"].map((suffix) => home.database + suffix), pythonCopy(home)];
}

export function lockFilePath(home: Home, jobId: string): string {
  return `${home.locks}/${jobId}`;
}

/** Suffix of the lock of a job's keeper: see worker/keeper.ts. */
export const KEEPER_SUFFIX = ".keeper";

export function keeperLock(home: Home, jobId: string): string {
  return lockFilePath(home, jobId) + KEEPER_SUFFIX;
}

/** Suffix of a hook's files, which are beside those of its job. */
export const HOOK_SUFFIX = ".hook";

/** The lock of the process that runs a job's hooks. */
export function hookLock(home: Home, jobId: string): string {
  return `${home.locks}/${jobId}${HOOK_SUFFIX}`;
}

/** The output of a job's hook. */
export function hookLog(home: Home, jobId: string, kind: HookKind): string {
  return `${home.logs}/${jobId}${kind === "exit" ? HOOK_SUFFIX : `.${kind}-hook`}`;
}

/**
 * Files of a member of a fleet: the lock of its agent, the agent's socket, its lease, the jobs that it must end, and how often it
 * could not renew.
 */
export function memberFiles(home: Home): {
  readonly agent: string;
  /** The lock of whoever joins or leaves. */
  readonly joining: string;
  readonly socket: string;
  readonly lease: string;
  readonly revoked: string;
  readonly failures: string;
} {
  return {
    agent: `${home.path}/fleet.agent`,
    joining: `${home.path}/fleet.joining`,
    socket: `${home.path}/fleet.socket`,
    lease: `${home.path}/fleet.lease`,
    revoked: `${home.path}/fleet.revoked`,
    failures: `${home.path}/fleet.failures`,
  };
}

export const LOG_STREAMS = ["stdout", "stderr"] as const;
export type LogStream = (typeof LOG_STREAMS)[number];
