/** A command that records its start and its end, and reports if another execution of its key is running. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Sandbox, until } from "./sandbox.ts";

/** The kernel holds the lock of the key until the last process of the execution ends, however it ends. */
const RECORD = (middle: string) => `
  exec 9>>"witness.$ORCHESJOB_RUN_KEY"
  flock -n 9 || echo "overlap $ORCHESJOB_JOB_ID" >>"executions.$ORCHESJOB_RUN_KEY"
  echo "start $ORCHESJOB_JOB_ID $$" >>"executions.$ORCHESJOB_RUN_KEY"
  ${middle}
  echo "end $ORCHESJOB_JOB_ID" >>"executions.$ORCHESJOB_RUN_KEY"`;

/** The files that the command writes. */
export function witnessFiles(box: Sandbox, runKey: string): readonly string[] {
  return ["witness", "executions"].map((name) => join(box.directory, `${name}.${runKey}`));
}

/**
 * Returns the command, to be started in the sandbox's directory; `middle` is what it does between start and end, in
 * sh.
 */
export function witness(middle: string): string[] {
  return ["sh", "-c", RECORD(middle)];
}

export interface Executions {
  /** Job ids, one for each execution that began. */
  readonly started: readonly string[];
  readonly ended: readonly string[];
  /** Job ids of executions that began while another one of the key was alive. */
  readonly overlapping: readonly string[];
}

/** All executions of a run key, in order. */
export function readExecutions(box: Sandbox, runKey: string): Executions {
  const lines = readIfAny(join(box.directory, `executions.${runKey}`)).split("\n");
  const words = (event: string) =>
    lines.filter((line) => line.startsWith(`${event} `)).map((line) => line.split(" ")[1]!);
  return { started: words("start"), ended: words("end"), overlapping: words("overlap") };
}

function readIfAny(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Waits until no process of the sandbox lives. */
export async function untilQuiet(box: Sandbox): Promise<void> {
  await until("all processes have ended", () => box.processes().length === 0);
}
