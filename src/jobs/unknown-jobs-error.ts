/** The errors about running jobs that the store does not know and that no worker restores. */
import { OrchesjobError } from "../job/errors.ts";
import { probeLock } from "../linux/file-lock.ts";
import { describeWorker, findNamed, type SeenWorker } from "../processes/find-worker.ts";
import type { Context } from "../state/context.ts";
import { logFiles, pipeFiles } from "../state/paths.ts";

/** How many jobs the message lists. */
const SHOWN = 5;

export function unknownJobsError({ home }: Pick<Context, "home">, jobIds: readonly string[]): OrchesjobError {
  const seen = jobIds.slice(0, SHOWN).map((jobId) => ({ jobId, worker: describeWorker(jobId) }));
  const shown = seen.map(({ jobId, worker }) =>
    worker === undefined ? jobId : `${jobId} (${describe(worker)})`,
  );
  const rest = jobIds.length > SHOWN ? `, and ${jobIds.length - SHOWN} more` : "";
  const stopped = seen.find(({ worker }) => worker?.isStopped)?.worker;
  const hint =
    stopped === undefined
      ? "put that database back, or wait for them to end"
      : `continue the worker, which then restores its job: kill -CONT ${stopped.pid}`;
  return new OrchesjobError(
    "conflict",
    `${home.database} does not know jobs that still run, so it is older than the database that accepted them: ${shown.join(", ")}${rest}`,
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

/** The living processes of a job of which only the id is known. */
export interface NamedProcesses {
  readonly pids: readonly number[];
  /** No process is visible, but one has the job's output open. */
  readonly unseen: boolean;
  readonly runKey: string | undefined;
}

export function findNamedProcesses({ home }: Pick<Context, "home">, jobId: string): NamedProcesses {
  const files = [...Object.values(logFiles(home, jobId)), ...Object.values(pipeFiles(home, jobId))];
  const held = files.filter((path) => probeLock(path) === "held");
  const { pids, runKey } = findNamed(jobId, held);
  return { pids, runKey, unseen: pids.length === 0 && held.length > 0 };
}

/** The error for an unknown job whose worker is gone, but whose command still runs. */
export function abandonedJobError(
  { home }: Pick<Context, "home">,
  jobId: string,
  { pids, runKey }: NamedProcesses,
): OrchesjobError {
  const key = runKey === undefined ? "" : ` of run key ${JSON.stringify(runKey)}`;
  const noun = pids.length === 1 ? "process" : "processes";
  const [who, hint] =
    pids.length === 0
      ? ["still has a process that cannot be seen from here", "wait for its end"]
      : [`still runs: ${noun} ${pids.join(", ")}`, `wait for its end, or end it: kill ${pids.join(" ")}`];
  return new OrchesjobError(
    "conflict",
    `${home.database} does not know job ${jobId}${key}, so it is older than the database that accepted it; the worker of the job is gone, but its command ${who}`,
    `${hint}, so that none runs twice`,
  );
}
