/** A frozen file system: writers block in the kernel (state D), where SIGKILL does not end them, until it is thawed. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Sandbox } from "./sandbox.ts";

export class Frozen implements AsyncDisposable {
  readonly path: string;
  #isFrozen = false;

  private constructor(readonly box: Sandbox) {
    this.path = join(box.directory, "frozen");
  }

  static async create(box: Sandbox): Promise<Frozen> {
    const frozen = new Frozen(box);
    mkdirSync(frozen.path);
    await frozen.#execute("truncate", "--size=16M", `${frozen.path}.img`);
    await frozen.#execute("mkfs.ext4", "-q", `${frozen.path}.img`);
    await frozen.#execute("mount", "-o", "loop", `${frozen.path}.img`, frozen.path);
    await frozen.#execute("fsfreeze", "--freeze", frozen.path);
    frozen.#isFrozen = true;
    return frozen;
  }

  async thaw(): Promise<void> {
    if (this.#isFrozen) await this.#execute("fsfreeze", "--unfreeze", this.path);
    this.#isFrozen = false;
  }

  async #execute(...command: readonly string[]): Promise<void> {
    const { code, stderr } = await this.box.execute(command, {
      env: { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` },
    });
    if (code !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.thaw();
    await this.#execute("umount", "--lazy", this.path);
  }
}
