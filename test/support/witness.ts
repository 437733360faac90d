/** A command that testifies: each execution notes its start and its end, and cries out if another of its key is running. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Sandbox, until } from "./sandbox.ts";

/** The lock of the key is the kernel's: it is held as long as a process of the execution lives, however that ends. */
const TESTIMONY = (middle: string) => `
  exec 9>>"witness.$ORCHESJOB_RUN_KEY"
  flock -n 9 || echo "overlap $ORCHESJOB_JOB_ID" >>"testimony.$ORCHESJOB_RUN_KEY"
  echo "start $ORCHESJOB_JOB_ID $$" >>"testimony.$ORCHESJOB_RUN_KEY"
  ${middle}
  echo "end $ORCHESJOB_JOB_ID" >>"testimony.$ORCHESJOB_RUN_KEY"`;

/** What the command writes to. */
export function witnessFiles(box: Sandbox, runKey: string): readonly string[] {
  return ["witness", "testimony"].map((name) => join(box.directory, `${name}.${runKey}`));
}

/** The command; `middle` is what it does in between, in sh. To be started in the sandbox's directory. */
export function witness(middle: string): string[] {
  return ["sh", "-c", TESTIMONY(middle)];
}

export interface Testimony {
  /** Job ids, one for each execution that began. */
  readonly started: readonly string[];
  readonly ended: readonly string[];
  /** Job ids of executions that began while another one of the key was alive. */
  readonly overlapping: readonly string[];
}

/** All executions of a run key, in their order. */
export function readTestimony(box: Sandbox, runKey: string): Testimony {
  const lines = readIfAny(join(box.directory, `testimony.${runKey}`)).split("\n");
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

/** Waits until nothing of the sandbox lives any more. */
export async function untilQuiet(box: Sandbox): Promise<void> {
  await until("all processes have ended", () => box.processes().length === 0);
}
