/** An ordinary user who may run exactly one program as root by sudo, set up in the test's own mount namespace. */
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Gate } from "./gate.ts";
import { killAndWait, readProc } from "./processes.ts";
import { checkAnswer } from "./answers.ts";
import { BINARY, type Finished, isAlive, type JobAnswer, type Sandbox, until } from "./sandbox.ts";

/** Debian's `nobody`. */
const UID = 65534;

/** Plays a batch of payments that TERM must not interrupt: it continues until `finish`. */
const PAY = (directory: string) => `#!/bin/sh
trap 'echo "$1 heard TERM" >> ${directory}/paid' TERM
echo "begin $1" >> ${directory}/paid
exec 3<> ${directory}/enough
until read -r line <&3; do :; done
echo "end $1" >> ${directory}/paid
`;

export class Sudoer implements AsyncDisposable {
  readonly #program: string;
  readonly #keeper: ReturnType<Sandbox["spawn"]>;
  readonly #enough: Gate;

  private constructor(
    readonly box: Sandbox,
    keeper: ReturnType<Sandbox["spawn"]>,
    program: string,
    /** The program that pays, and ignores TERM. */
    readonly pay: string,
  ) {
    this.#keeper = keeper;
    this.#program = program;
    this.#enough = new Gate(box, "enough");
  }

  /** `hidepid`: /proc shows users only their own processes. */
  static async create(box: Sandbox, { hidepid = false } = {}): Promise<Sudoer> {
    const pay = join(box.directory, "pay");
    const program = join(box.directory, "orchesjob");
    chmodSync(box.directory, 0o755);
    mkdirSync(box.home, { mode: 0o700 });
    chownSync(box.home, UID, UID);
    writeFileSync(pay, PAY(box.directory), { mode: 0o755 });
    // The program may be in a directory that only root can enter.
    try {
      linkSync(BINARY, program);
    } catch {
      copyFileSync(BINARY, program);
    }
    chmodSync(program, 0o755);
    const ready = join(box.directory, "ready");
    const script = [
      "set -e",
      "mount --make-rprivate /",
      "mount -t tmpfs -o mode=755 tmpfs /etc/sudoers.d",
      `echo 'nobody ALL=(root) NOPASSWD: ${pay}' > /etc/sudoers.d/pay`,
      "chmod 440 /etc/sudoers.d/pay",
      hidepid ? "mount -t proc -o hidepid=2 proc /proc" : ":",
      `touch ${ready}`,
      "exec sleep 1000",
    ].join("\n");
    const keeper = box.spawn(["unshare", "--mount", "sh", "-c", script]);
    await until("the sudoer is ready", () => existsSync(ready) || keeper.exitCode !== null);
    if (!existsSync(ready)) throw new Error((await box.finished(keeper)).stderr);
    return new Sudoer(box, keeper, program, pay);
  }

  #words(args: readonly string[]): string[] {
    return [
      ...["nsenter", `--mount=/proc/${this.#keeper.pid}/ns/mnt`, `--wdns=${this.box.directory}`],
      ...["setpriv", `--reuid=${UID}`, `--regid=${UID}`, "--clear-groups", "--reset-env", "env"],
      ...[`ORCHESJOB_HOME=${this.box.home}`, this.#program, ...args],
    ];
  }

  /** Runs orchesjob as the user. */
  run(...args: readonly string[]): Promise<Finished> {
    return this.box.execute(this.#words(args));
  }

  async json<T = JobAnswer>(...args: readonly string[]): Promise<T> {
    const result = await this.run(...args);
    if (result.code !== 0) throw new Error(`exit ${result.code}: ${result.stderr}`);
    checkAnswer(BINARY, args, result.stdout);
    return JSON.parse(result.stdout) as T;
  }

  status(): Promise<JobAnswer> {
    return this.json("status", "--run-key", "pay");
  }

  /** Starts a payment by an sh script that may use $SUDO_PAY; returns once it pays. */
  async startPaying(script: string, ...options: readonly string[]): Promise<JobAnswer> {
    const words = ["sh", "-c", script.replaceAll("$SUDO_PAY", `sudo -n ${this.pay} A`)];
    const job = await this.json("start", "--run-key", "pay", ...options, "--", ...words);
    await until("it pays", () => this.paid.includes("begin A\n"));
    return job;
  }

  /** What has been paid so far. */
  get paid(): string {
    const path = join(this.box.directory, "paid");
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  }

  /** Lets the payment finish. */
  finish(): void {
    this.#enough.open();
  }

  /** The processes of root that pay. */
  payers(): number[] {
    return this.box.processes().filter((pid) => {
      const uid = /^Uid:\s+(\d+)/m.exec(readProc(pid, "status"))?.[1];
      return uid === "0" && readProc(pid, "cmdline").includes(`${this.pay}\0`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.finish();
    await until("the payment has ended", () => !this.payers().some(isAlive));
    await killAndWait(this.#keeper.pid);
    await this.box.finished(this.#keeper);
  }
}
