/** Stops the hand-over of a job from launcher to worker at moments that a test cannot hit by chance. */
import { openDatabase } from "./database.ts";
import { findProcesses, stop } from "./processes.ts";
import { BINARY, type JobAnswer, type Sandbox, until } from "./sandbox.ts";

export interface PreparedStart {
  readonly launcher: ReturnType<Sandbox["spawn"]>;
  readonly worker: number;
  /** Lets the launcher continue to its claim, which waits for the database. */
  release(): void;
}

/**
 * Starts a job up to the point where its worker waits to be released, and the locked database keeps the launcher from
 * claiming.
 */
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

/** Starts a job whose claim has been answered, and stops its worker before it knows. */
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
