/** A gate that a command of a test waits at: nobody waits on the clock. */
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
    // Reader and writer at once: opening never blocks, and what is written stays there for who comes later.
    this.#fd = openSync(this.path, constants.O_RDWR | constants.O_NONBLOCK);
  }

  /** Shell words that wait here. */
  get wait(): string {
    return `read -r line < ${this.path}`;
  }

  /** A command that ends with code 0 when the gate is opened. */
  get command(): readonly string[] {
    return ["sh", "-c", this.wait];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.open();
  }

  /** Lets so many pass, also such as come later. */
  open(count = ALL): void {
    writeSync(this.#fd, "\n".repeat(count));
  }
}

/** Starts a job that waits at the gate and then does the rest of the shell script. It runs when this returns. */
export async function startWaiting(
  box: Sandbox,
  runKey: string,
  gate: Gate,
  rest = "true",
): Promise<JobAnswer> {
  return box.json(["start", "--run-key", runKey, "--", "sh", "-c", `${gate.wait}; ${rest}`]);
}
