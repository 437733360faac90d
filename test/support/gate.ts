/** A command that runs until the test lets it go on: no test needs to guess how long a job takes. */
import { closeSync, constants, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Sandbox } from "./sandbox.ts";

export class Gate implements AsyncDisposable {
  /** What to start: it ends with code 0 when the gate is opened. */
  readonly command: readonly string[];
  readonly #fifo: string;
  readonly #opened: string;

  constructor(box: Sandbox, name = "gate") {
    this.#fifo = join(box.directory, `${name}.fifo`);
    this.#opened = join(box.directory, `${name}.opened`);
    const made = Bun.spawnSync(["mkfifo", this.#fifo]);
    if (made.exitCode !== 0) throw new Error(String(made.stderr));
    this.command = ["sh", "-c", 'exec 3<>"$0"; [ -e "$1" ] || read -r line <&3', this.#fifo, this.#opened];
  }

  /** Whoever waits goes on, and so does whoever comes later. */
  open(): void {
    writeFileSync(this.#opened, "");
    try {
      const fd = openSync(this.#fifo, constants.O_WRONLY | constants.O_NONBLOCK);
      writeSync(fd, "\n");
      closeSync(fd);
    } catch (error) {
      // ENXIO: nobody waits yet; they will see the file.
      if ((error as NodeJS.ErrnoException).code !== "ENXIO") throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.open();
  }
}
