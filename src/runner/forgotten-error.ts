/** What a person is told of a job that runs, that the store does not know, and whose worker does not put it back. */
import { OrchesjobError } from "../job/errors.ts";
import { describeWorker, type SeenWorker } from "../os/process-tree.ts";
import type { Context } from "./context.ts";

/** Told of at most. */
const MOST = 5;

export function forgottenError({ home }: Pick<Context, "home">, jobIds: readonly string[]): OrchesjobError {
  const seen = jobIds.slice(0, MOST).map((jobId) => ({ jobId, worker: describeWorker(jobId) }));
  const told = seen.map(({ jobId, worker }) =>
    worker === undefined ? jobId : `${jobId} (${describe(worker)})`,
  );
  const rest = jobIds.length > MOST ? `, and ${jobIds.length - MOST} more` : "";
  const stopped = seen.find(({ worker }) => worker?.isStopped)?.worker;
  const wayOut =
    stopped === undefined
      ? "put the database back that it was, or wait for their end"
      : `let the worker go on, which then puts its job back: kill -CONT ${stopped.pid}`;
  return new OrchesjobError(
    "conflict",
    `${home.database} does not know jobs that still run, so it is an older one than they were accepted in: ${told.join(", ")}${rest}; ${wayOut}, so that none runs twice`,
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
