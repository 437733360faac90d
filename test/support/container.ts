/** PID namespaces of their own, as containers that share the state directory have them. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { childrenOf, killAndWait, readProc } from "./processes.ts";
import { BINARY, type JobAnswer, type Sandbox, until } from "./sandbox.ts";

/** A PID namespace of its own, as a container has it, with a job running in it. */
export interface Container {
  /** What start answered inside. */
  readonly job: JobAnswer;
  /** Pid, seen from here, of the first process inside. */
  readonly init: number;
  /** Runs orchesjob inside. */
  run(args: readonly string[]): Promise<JobAnswer>;
  /** Ends the first process, and the kernel all others. */
  end(): Promise<void>;
}

/** `init` are shell words that the first process goes on as; it must not end by itself. */
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

/** Words in front of a command that is to run in the container of this process. */
export function enter(init: number): readonly string[] {
  return ["nsenter", `--target=${init}`, "--pid", "--mount"];
}

async function runInside(box: Sandbox, init: number, args: readonly string[]): Promise<JobAnswer> {
  const result = await box.execute([...enter(init), BINARY, ...args]);
  if (result.code !== 0) throw new Error(result.stderr);
  return JSON.parse(result.stdout) as JobAnswer;
}

/** The pid as it is seen from here of a process inside. */
export function seenFromHere(box: Sandbox, inside: number): number | undefined {
  return box
    .processes()
    .find((pid) => new RegExp(`^NSpid:\\s+${pid}\\s+${inside}$`, "m").test(readProc(pid, "status")));
}
