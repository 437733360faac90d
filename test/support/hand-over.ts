/** Stops the hand-over of a job between launcher and worker, at the moments that cannot be hit otherwise. */
import { openDatabase } from "./database.ts";
import { findProcesses, stop } from "./processes.ts";
import { BINARY, type JobAnswer, type Sandbox, until } from "./sandbox.ts";

export interface PreparedStart {
  readonly launcher: ReturnType<Sandbox["spawn"]>;
  readonly worker: number;
  /** Lets the launcher go on to its claim, which waits for the database. */
  release(): void;
}

/** A start whose worker is there, waiting for its release, and whose job is not yet accepted: the database is locked. */
export async function startBeforeClaim(
  box: Sandbox,
  runKey: string,
  command: readonly string[],
): Promise<PreparedStart> {
  await box.json(["start", "--run-key", "first", "--sync", "--", "true"]);
  await until("the first worker has ended", () => findProcesses(box, "_worker").length === 0);
  const database = openDatabase(box);
  database.run("begin immediate");
  const launcher = box.spawn([
    BINARY,
    "start",
    "--run-key",
    runKey,
    "--start-timeout",
    "0",
    "--",
    ...command,
  ]);
  const worker = await until("the worker is prepared", () => findProcesses(box, "_worker")[0]);
  return {
    launcher,
    worker,
    release() {
      database.run("rollback");
      database.close();
    },
  };
}

/** A job that is accepted and acknowledged, and whose worker is stopped before it knows. */
export async function startBeforeRun(
  box: Sandbox,
  runKey: string,
  command: readonly string[],
): Promise<{ readonly job: JobAnswer; readonly worker: number }> {
  const prepared = await startBeforeClaim(box, runKey, command);
  await stop(prepared.worker);
  prepared.release();
  const { stdout } = await box.finished(prepared.launcher);
  return { job: JSON.parse(stdout) as JobAnswer, worker: prepared.worker };
}
