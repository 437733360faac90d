/** What a person is told of a job that runs, that the store does not know, and whose worker does not put it back. */
import { OrchesjobError } from "../job/errors.ts";
import { probeLock } from "../linux/file-lock.ts";
import { describeWorker, findNamed, type SeenWorker } from "../processes/find-worker.ts";
import type { Context } from "../state/context.ts";
import { logFiles, pipeFiles } from "../state/paths.ts";

/** Told of at most. */
const MOST = 5;

export function unknownJobsError({ home }: Pick<Context, "home">, jobIds: readonly string[]): OrchesjobError {
  const seen = jobIds.slice(0, MOST).map((jobId) => ({ jobId, worker: describeWorker(jobId) }));
  const told = seen.map(({ jobId, worker }) =>
    worker === undefined ? jobId : `${jobId} (${describe(worker)})`,
  );
  const rest = jobIds.length > MOST ? `, and ${jobIds.length - MOST} more` : "";
  const stopped = seen.find(({ worker }) => worker?.isStopped)?.worker;
  const hint =
    stopped === undefined
      ? "put the database back that it was, or wait for their end"
      : `let the worker go on, which then puts its job back: kill -CONT ${stopped.pid}`;
  return new OrchesjobError(
    "conflict",
    `${home.database} does not know jobs that still run, so it is an older one than they were accepted in: ${told.join(", ")}${rest}`,
    `${hint}, so that none runs twice`,
  );
}

function describe({ pid, runKey, command }: SeenWorker): string {
  const words = [
    ...(runKey === undefined ? [] : [`run key ${JSON.stringify(runKey)}`]),
    `worker ${pid}`,
    ...(command === undefined ? [] : [`command ${JSON.stringify(command)}`]),
  ];
  return words.join(", ");
}

/** What lives of a job of which nothing is known but its id. */
export interface NamedProcesses {
  readonly pids: readonly number[];
  /** None is seen, and yet somebody has the job's output open. */
  readonly unseen: boolean;
  readonly runKey: string | undefined;
}

export function findNamedProcesses({ home }: Pick<Context, "home">, jobId: string): NamedProcesses {
  const files = [...Object.values(logFiles(home, jobId)), ...Object.values(pipeFiles(home, jobId))];
  const held = files.filter((path) => probeLock(path) === "held");
  const { pids, runKey } = findNamed(jobId, held);
  return { pids, runKey, unseen: pids.length === 0 && held.length > 0 };
}

/** Its command has outlived its worker. */
export function leftError(
  { home }: Pick<Context, "home">,
  jobId: string,
  { pids, runKey }: NamedProcesses,
): OrchesjobError {
  const key = runKey === undefined ? "" : ` of run key ${JSON.stringify(runKey)}`;
  const noun = pids.length === 1 ? "process" : "processes";
  const [who, hint] =
    pids.length === 0
      ? ["is held by a process that cannot be seen from here", "wait for its end"]
      : [`still runs: ${noun} ${pids.join(", ")}`, `wait for its end, or end it: kill ${pids.join(" ")}`];
  return new OrchesjobError(
    "conflict",
    `${home.database} does not know job ${jobId}${key}, so it is an older one than that was accepted in; the worker of the job is gone, but its command ${who}`,
    `${hint}, so that none runs twice`,
  );
}
