/** The names of what is in the state directory. Nothing is touched here. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";

export const DEFAULT_HOME = "/var/lib/orchesjob";

export interface Home {
  readonly path: string;
  readonly database: string;
  readonly logs: string;
  readonly locks: string;
  /** FIFOs of those jobs whose output is a pipe; made when there is one. */
  readonly pipes: string;
}

/** The state directory that the environment names, made absolute. Nothing is touched. */
export function resolveHome(): Home {
  const named = process.env["ORCHESJOB_HOME"] || DEFAULT_HOME;
  if (named.includes("\uFFFD")) {
    throw new OrchesjobError("usage", "ORCHESJOB_HOME is not valid UTF-8", "use a path that is");
  }
  return homeAt(named.startsWith("/") ? named : `${process.cwd()}/${named}`);
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
  };
}

export function logFiles(home: Home, jobId: string): { readonly stdout: string; readonly stderr: string } {
  return { stdout: `${home.logs}/${jobId}.stdout`, stderr: `${home.logs}/${jobId}.stderr` };
}

/** What the job's stdin is where the caller gave it on its own. */
export function stdinFile(home: Home, jobId: string): string {
  return `${home.logs}/${jobId}.stdin`;
}

/** As logFiles, the FIFOs that are the output of a job whose output is a pipe. */
export function pipeFiles(home: Home, jobId: string): { readonly stdout: string; readonly stderr: string } {
  return { stdout: `${home.pipes}/${jobId}.stdout`, stderr: `${home.pipes}/${jobId}.stderr` };
}

/** The files on which those hold a lock who have the job's output open. */
export function outputFiles(home: Home, { jobId, output }: Pick<Job, "jobId" | "output">): readonly string[] {
  const { stdout, stderr } = output === "pipe" ? pipeFiles(home, jobId) : logFiles(home, jobId);
  return [stdout, stderr];
}

/** The copy of the Python orchesjob's database that an upgrade keeps. */
export function pythonCopy(home: Home): string {
  return `${home.database}.python`;
}

/** Names of the database and of the files that belong to it, in the order in which they come to be. */
export function databaseFiles(home: Home): readonly string[] {
  return [...["", "-wal", "-shm"].map((suffix) => home.database + suffix), pythonCopy(home)];
}

export function lockFilePath(home: Home, jobId: string): string {
  return `${home.locks}/${jobId}`;
}

/** Ends the names of a hook's files, which stand beside its job's. */
export const HOOK_SUFFIX = ".hook";

/** What the hook of a job has: the lock of who runs it, and its output. */
export function hookFiles(home: Home, jobId: string): { readonly lock: string; readonly log: string } {
  return { lock: `${home.locks}/${jobId}${HOOK_SUFFIX}`, log: `${home.logs}/${jobId}${HOOK_SUFFIX}` };
}

export const LOG_STREAMS = ["stdout", "stderr"] as const;
export type LogStream = (typeof LOG_STREAMS)[number];
