/** A real sshd on loopback with its own keys, and an ssh client that reaches it. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sshdPath } from "./needs.ts";
import { BINARY, type Finished, isAlive, type Sandbox, until } from "./sandbox.ts";

export interface SshOptions {
  /** As with `ssh -tt`: a terminal, whose loss is a SIGHUP. */
  readonly terminal?: boolean;
}

export interface ServerOptions {
  /** What a shell runs there before each command line: a directory, an environment. Default: nothing. */
  readonly prelude?: string;
}

export class Ssh implements AsyncDisposable {
  readonly #box: Sandbox;
  readonly #server: ReturnType<Sandbox["spawn"]>;
  /** The ssh client with all options it needs to log in; the host is 127.0.0.1. */
  readonly client: readonly string[];
  readonly port: number;

  private constructor(
    box: Sandbox,
    server: ReturnType<Sandbox["spawn"]>,
    client: readonly string[],
    port: number,
  ) {
    this.#box = box;
    this.#server = server;
    this.client = client;
    this.port = port;
  }

  static async start(box: Sandbox, options: ServerOptions = {}): Promise<Ssh> {
    const file = (name: string) => join(box.directory, name);
    for (const name of ["host-key", "user-key"])
      await box.execute(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file(name)]);
    const { port, server } = await startServer(box, file, options);
    const hostKey = (await Bun.file(file("host-key.pub")).text()).split(" ").slice(0, 2).join(" ");
    writeFileSync(file("known-hosts"), `[127.0.0.1]:${port} ${hostKey}\n`);
    const client = [
      ...["ssh", "-F", "none", "-p", String(port), "-i", file("user-key"), "-o", "BatchMode=yes"],
      ...[
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "LogLevel=ERROR",
        "-o",
        `UserKnownHostsFile=${file("known-hosts")}`,
      ],
    ];
    return new Ssh(box, server, client, port);
  }

  /** Starts orchesjob on the other side, as one quoted command line with the state directory before it. */
  spawn(args: readonly string[], { terminal = false }: SshOptions = {}): ReturnType<Sandbox["spawn"]> {
    const line = [`ORCHESJOB_HOME=${quote(this.#box.home)}`, ...[BINARY, ...args].map(quote)].join(" ");
    const directory = `cd ${quote(this.#box.directory)} && `;
    const options = terminal ? ["-tt"] : [];
    return this.#box.spawn([...this.client, ...options, "127.0.0.1", directory + line]);
  }

  /** Runs it as an orchestrator does: waits for the exit status first, then reads the answer. */
  async run(args: readonly string[], options: SshOptions = {}): Promise<Finished> {
    const child = this.spawn(args, options);
    await child.exited;
    return this.#box.finished(child);
  }

  /** Breaks all connections from the server's side, and leaves what runs in them alone. */
  breakConnections(): void {
    for (const pid of childrenOf(this.#server.pid)) {
      // With privilege separation, a connection is two processes.
      for (const each of [pid, ...childrenOf(pid)])
        if (readFileSync(`/proc/${each}/comm`, "utf8").startsWith("sshd")) process.kill(each, "SIGKILL");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.kill("SIGTERM");
    await this.#box.finished(this.#server);
  }
}

async function startServer(
  box: Sandbox,
  file: (name: string) => string,
  { prelude }: ServerOptions,
): Promise<{ readonly port: number; readonly server: ReturnType<Sandbox["spawn"]> }> {
  for (;;) {
    const port = freePort();
    const settings = [
      `Port ${port}`,
      "ListenAddress 127.0.0.1",
      `HostKey ${file("host-key")}`,
      `AuthorizedKeysFile ${file("user-key.pub")}`,
      "PidFile none",
      "StrictModes no",
      "UsePAM no",
      "PasswordAuthentication no",
      "PermitRootLogin prohibit-password",
      "MaxStartups 100",
      // Keeps bash from reading the user's .bashrc, which is not what is tested.
      "SetEnv SHLVL=2",
      // Fast algorithms: nobody listens in on loopback.
      "KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org",
      "LogLevel ERROR",
      ...(prelude === undefined ? [] : [`ForceCommand ${prelude}; eval "$SSH_ORIGINAL_COMMAND"`]),
    ];
    writeFileSync(file("sshd-config"), settings.map((line) => `${line}\n`).join(""));
    const server = box.spawn([...asService([sshdPath()!, "-D", "-e", "-f", file("sshd-config")])]);
    const isUp = await until("sshd listens, or has ended", async () => {
      if (!isAlive(server.pid)) return "down" as const;
      return (await isListening(port)) && ("up" as const);
    });
    if (isUp === "up") return { port, server };
    const { stderr } = await box.finished(server);
    // Another process has taken the port meanwhile.
    if (!/in use/.test(stderr)) throw new Error(`sshd: ${stderr}`);
  }
}

/** sshd insists on an empty directory that only its system service makes; it gets one in a private mount namespace. */
function asService(command: readonly string[]): readonly string[] {
  if (process.getuid?.() !== 0 || existsSync("/run/sshd")) return command;
  const script = `mount -t tmpfs none /run && mkdir /run/sshd && exec "$@"`;
  return ["unshare", "--mount", "sh", "-c", script, "sh", ...command];
}

function childrenOf(pid: number): readonly number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
}

function freePort(): number {
  const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = probe;
  probe.stop(true);
  return port;
}

async function isListening(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}

/** Quotes a word for the shell. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
