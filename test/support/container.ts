/** PID namespaces like those of containers that share the state directory. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { childrenOf, killAndWait, readProc } from "./processes.ts";
import { BINARY, type JobAnswer, type Sandbox, until } from "./sandbox.ts";

/** A PID namespace with a job running in it. */
export interface Container {
  /** What `start` answered inside. */
  readonly job: JobAnswer;
  /** The pid of the namespace's first process, as seen from outside. */
  readonly init: number;
  /** Runs orchesjob inside. */
  run(args: readonly string[]): Promise<JobAnswer>;
  /** Kills the first process; the kernel then kills all others. */
  end(): Promise<void>;
}

/** `init`: shell words that the first process runs last; they must not end by themselves. */
export async function startContainer(
  box: Sandbox,
  command: readonly string[],
  init: string,
): Promise<Container> {
  const answer = join(box.directory, "answer.json");
  const script = `"$@" > ${answer}.part && mv ${answer}.part ${answer}; ${init}`;
  const outside = box.spawn([
    ...["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script, "sh"],
    ...[BINARY, "start", "--run-key", "k", "--", ...command],
  ]);
  await until("the job runs in the container", () => existsSync(answer));
  const first = await until("the first process", () => childrenOf(outside.pid)[0]);
  return {
    job: JSON.parse(readFileSync(answer, "utf8")) as JobAnswer,
    init: first,
    run: (args) => runInside(box, first, args),
    async end() {
      await killAndWait(first);
      await box.finished(outside);
    },
  };
}

/** Words that, in front of a command, run it in the container with this first process. */
export function enter(init: number): readonly string[] {
  return ["nsenter", `--target=${init}`, "--pid", "--mount"];
}

async function runInside(box: Sandbox, init: number, args: readonly string[]): Promise<JobAnswer> {
  const result = await box.execute([...enter(init), BINARY, ...args]);
  if (result.code !== 0) throw new Error(result.stderr);
  return JSON.parse(result.stdout) as JobAnswer;
}

/** The pid, as seen from outside, of a process inside; undefined if there is none. */
export function seenFromHere(box: Sandbox, inside: number): number | undefined {
  return box
    .processes()
    .find((pid) => new RegExp(`^NSpid:\\s+${pid}\\s+${inside}$`, "m").test(readProc(pid, "status")));
}
