/** Holds the commands of a test until the test opens the gate, so that no test waits on the clock. */
import { spawnSync } from "bun";
import { constants, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { JobAnswer, Sandbox } from "./sandbox.ts";

/** More than any test has waiting. */
const ALL = 1_000;

export class Gate implements AsyncDisposable {
  readonly path: string;
  readonly #fd: number;

  constructor(box: Sandbox, name = "gate") {
    this.path = join(box.directory, name);
    spawnSync(["mkfifo", this.path]);
    // Opened for reading and writing: opening never blocks, and what is written stays for readers that come later.
    this.#fd = openSync(this.path, constants.O_RDWR | constants.O_NONBLOCK);
  }

  /** Shell words that wait at the gate. */
  get wait(): string {
    return `read -r line < ${this.path}`;
  }

  /** A command that waits at the gate and then exits 0. */
  get command(): readonly string[] {
    return ["sh", "-c", this.wait];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.open();
  }

  /** Lets `count` waiters pass, including those that come later. */
  open(count = ALL): void {
    writeSync(this.#fd, "\n".repeat(count));
  }
}

/**
 * Starts a job that waits at the gate and then runs the rest of the shell script. Its command runs when this returns.
 */
export async function startWaiting(
  box: Sandbox,
  runKey: string,
  gate: Gate,
  rest = "true",
): Promise<JobAnswer> {
  return box.json(["start", "--run-key", runKey, "--", "sh", "-c", `${gate.wait}; ${rest}`]);
}
