/**
 * A real systemd, booted in about a second as PID 1 of private namespaces over a throw-away overlay of this machine's
 * root (see test/fixtures/systemd/machine.sh). Units, timers, scopes, the journal, logind and a user manager work,
 * and the machine itself stays unchanged. One boot serves all tests of a file; any number may run side by side.
 */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { checkAnswer } from "./answers.ts";
import { BINARY, type Finished, type JobAnswer, ROOT, type Sandbox, until } from "./sandbox.ts";

export const MACHINE_SCRIPT = join(ROOT, "test/fixtures/systemd/machine.sh");

/** The path of the program inside. */
export const PROGRAM = "/usr/local/bin/orchesjob";

/** An ordinary user inside. */
export const TESTER = { name: "tester", uid: 4242, home: "/home/tester" } as const;

/** Prints why a machine does not come up. */
const STATE = "systemctl list-jobs; systemctl --failed; journalctl -b --no-pager | tail -n 40; ps -ef";

/** A manager that is just coming up may leave a call unanswered. */
const BRIEFLY = ["timeout", "5"];

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface MachineRunOptions {
  /** Relative to the root of the machine. */
  readonly cwd?: string;
  /** The whole environment is PATH, HOME, USER and these; nothing is inherited from the test. */
  readonly env?: Record<string, string>;
  readonly stdin?: string;
  /** Runs as the ordinary user, whose user manager `startUserManager` starts. */
  readonly asTester?: boolean;
}

export class SystemdMachine implements AsyncDisposable {
  /** The pid of PID 1, as seen from outside. */
  readonly pid: number;
  readonly #box: Sandbox;
  readonly #supervisor: Bun.Subprocess<"pipe", "pipe", "pipe">;

  private constructor(box: Sandbox, supervisor: Bun.Subprocess<"pipe", "pipe", "pipe">, pid: number) {
    this.#box = box;
    this.#supervisor = supervisor;
    this.pid = pid;
  }

  /**
   * Boots; `memory`: with memory limits. The box's directory is visible inside under the same name; dispose of the
   * box after the machine.
   */
  static async boot(box: Sandbox, features: readonly "memory"[] = []): Promise<SystemdMachine> {
    // The script ends the machine when its stdin ends, so also when this process is killed.
    const supervisor = Bun.spawn(["bash", MACHINE_SCRIPT, "boot", box.directory, BINARY, ...features], {
      cwd: "/",
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
      detached: true,
    });
    const machine = new SystemdMachine(box, supervisor, await firstLine(supervisor.stdout));
    try {
      if (Number.isNaN(machine.pid)) throw new Error("the machine did not start");
      await until("systemd is up", async () => {
        const { stdout } = await machine.run([...BRIEFLY, "systemctl", "is-system-running"]);
        if (stdout === "degraded\n")
          throw new Error((await machine.run(["systemctl", "--failed", "--no-legend", "--plain"])).stdout);
        return stdout === "running\n";
      });
      return machine;
    } catch (error) {
      const state = await machine.run([...BRIEFLY, "sh", "-c", STATE]).catch(String);
      await machine[Symbol.asyncDispose]();
      const said = await new Response(supervisor.stderr).text();
      throw new Error(`no systemd: ${String(error)}; ${said}${JSON.stringify(state, null, 1)}`);
    }
  }

  /** Starts a command inside that belongs to no unit, like one that `docker exec` starts. */
  spawn(command: readonly string[], options: MachineRunOptions = {}): ReturnType<Sandbox["spawn"]> {
    return this.#box.spawn([...this.#words(options), ...command], {
      cwd: "/",
      ...(options.stdin === undefined ? {} : { stdin: options.stdin }),
    });
  }

  /** Runs a command inside to its end, by default as root. */
  async run(command: readonly string[], options: MachineRunOptions = {}): Promise<Finished> {
    return this.#box.finished(this.spawn(command, options));
  }

  /** Like `run`, but throws unless the command exits 0; returns its stdout. */
  async must(command: readonly string[], options: MachineRunOptions = {}): Promise<string> {
    const result = await this.run(command, options);
    if (result.code !== 0)
      throw new Error(`${command.join(" ")}: exit ${result.code}: ${result.stdout}${result.stderr}`);
    return result.stdout;
  }

  /** Runs orchesjob inside, which must exit 0, and returns its answer. */
  async json<T = JobAnswer>(args: readonly string[], options: MachineRunOptions = {}): Promise<T> {
    const stdout = await this.must([PROGRAM, ...args], options);
    checkAnswer(BINARY, args, stdout);
    return JSON.parse(stdout) as T;
  }

  /**
   * The path, as seen from outside, of a path inside. Must not go through an absolute symbolic link, which would lead
   * elsewhere.
   */
  path(inside: string): string {
    return `/proc/${this.pid}/root${inside}`;
  }

  readFile(path: string): string {
    return readFileSync(this.path(path), "utf8");
  }

  /** Writes a file that all may read, and the directories above it, whatever the test's umask is. */
  writeFile(path: string, text: string, mode = 0o644): void {
    const directory = dirname(this.path(path));
    const first = mkdirSync(directory, { recursive: true });
    for (let made = directory; first !== undefined && made.length >= first.length; made = dirname(made))
      chmodSync(made, 0o755);
    writeFileSync(this.path(path), text);
    chmodSync(this.path(path), mode);
  }

  /** Writes unit files by name, and reloads systemd. */
  async units(units: Record<string, string>): Promise<void> {
    for (const [name, text] of Object.entries(units)) this.writeFile(`/etc/systemd/system/${name}`, text);
    await this.must(["systemctl", "daemon-reload"]);
  }

  /** A property of a unit, as `systemctl show` prints it. */
  async property(unit: string, name: string, options: MachineRunOptions = {}): Promise<string> {
    const scope = options.asTester === true ? ["--user"] : [];
    return (await this.must(["systemctl", ...scope, "show", "--value", "-p", name, unit], options)).trim();
  }

  /**
   * The messages of a unit in the journal, including what it has just written. Those of the manager may stand anywhere among
   * them: `program` leaves only what a program of that name has written.
   */
  async journal(unit: string, program?: string): Promise<string> {
    await this.must(["journalctl", "--sync"]);
    const only = program === undefined ? [] : ["-t", program];
    return await this.must(["journalctl", "-q", "-o", "cat", "--no-pager", "-u", unit, ...only]);
  }

  /** Starts user@4242.service with lingering enabled, as on a server after `loginctl enable-linger`. */
  async startUserManager(): Promise<void> {
    await this.must(["loginctl", "enable-linger", TESTER.name]);
    await this.must(["systemctl", "start", "--no-block", `user@${TESTER.uid}.service`]);
    await until("the user manager is up", async () => {
      const words = [...BRIEFLY, "systemctl", "--user", "is-system-running"];
      const result = await this.run(words, { asTester: true });
      return result.stdout === "running\n" || result.stdout === "degraded\n";
    });
  }

  #words({ cwd = "/", env = {}, asTester = false }: MachineRunOptions): readonly string[] {
    const who = asTester
      ? ["setpriv", `--reuid=${TESTER.uid}`, `--regid=${TESTER.uid}`, "--clear-groups"]
      : [];
    const own: Record<string, string> = asTester
      ? { HOME: TESTER.home, USER: TESTER.name, XDG_RUNTIME_DIR: `/run/user/${TESTER.uid}` }
      : { HOME: "/root", USER: "root" };
    const environment = Object.entries({ PATH, ...own, ...env }).map(([name, value]) => `${name}=${value}`);
    return [
      // Joins a cgroup of the machine while ours is still visible, then the other namespaces.
      ...["nsenter", `--target=${this.pid}`, "--mount", "--root", "--wd", "sh", "-c"],
      // In version 2, or in each hierarchy of version 1.
      'for group in /sys/fs/cgroup /sys/fs/cgroup/*; do [ -w "$group/cgroup.procs" ] && [ "$(stat -fc %T "$group")" != tmpfs ] || continue; [ "$group" = /sys/fs/cgroup ] || [ ! -e /sys/fs/cgroup/cgroup.procs ] || continue; mkdir -p "$group/callers"; echo $$ > "$group/callers/cgroup.procs"; done; exec "$@"',
      ...["sh", "nsenter", "--target=1", "--uts", "--ipc", "--net", "--pid", "--cgroup"],
      ...["env", "-i", `--chdir=${cwd}`, ...environment, ...who],
    ];
  }

  /** Ends the machine, with everything that runs in it. */
  async [Symbol.asyncDispose](): Promise<void> {
    void this.#supervisor.stdin.end();
    await this.#supervisor.exited;
  }
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<number> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (value !== undefined) text += decoder.decode(value, { stream: true });
    if (done || text.includes("\n")) {
      reader.releaseLock();
      return Number.parseInt(text, 10);
    }
  }
}
