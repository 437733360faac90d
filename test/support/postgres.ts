/** A PostgreSQL server of the test file's own, in a scratch directory: it can be stopped, killed and started again. */
import { SQL } from "bun";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAlive, until } from "./sandbox.ts";

/** The directory of the newest PostgreSQL that Debian's packages have installed; undefined if there is none. */
export function postgresPrograms(): string | undefined {
  const directory = "/usr/lib/postgresql";
  if (!existsSync(directory)) return undefined;
  return readdirSync(directory)
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(directory, version, "bin"))
    .find((path) => existsSync(join(path, "initdb")));
}

/** PostgreSQL refuses to run as root. */
const AS_POSTGRES =
  process.getuid?.() === 0 ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] : [];

/** The role of the members, which owns their databases. */
export const ROLE = "orchesjob";
export const PASSWORD = "se:cr@et";

/** The name of the socket has it; nobody listens on TCP, except in a network namespace. */
const PORT = 5432;

const CONFIGURATION = `
port = ${PORT}
# A test kills the server, never the machine.
fsync = off
max_connections = 300
autovacuum = off
shared_buffers = 32MB
log_min_messages = warning
`;

const RULES = `
local all,replication postgres trust
local all all scram-sha-256
host all all 0.0.0.0/0 scram-sha-256
`;

export class Server implements AsyncDisposable {
  readonly directory = realpathSync(mkdtempSync(join(tmpdir(), "orchesjob-test-pg-")));
  readonly data = join(this.directory, "data");
  /** Words in front of the server's command line; hosts.ts puts it into a network namespace. */
  prefix: readonly string[] = [];
  #databases = 0;
  /** A database that has the schema of the registry already; fleet.ts makes it. */
  template: Promise<string> | undefined;

  static async start(configuration = "", prefix: readonly string[] = []): Promise<Server> {
    const server = new Server();
    server.prefix = prefix;
    if (AS_POSTGRES.length > 0) await server.#execute(["chown", "postgres", server.directory], []);
    const options = ["-U", "postgres", "-A", "trust", "--no-sync", "-N", "-E", "UTF8", "--locale=C"];
    await server.#program("initdb", ["-D", server.data, ...options]);
    writeFileSync(join(server.data, "postgresql.auto.conf"), CONFIGURATION + configuration);
    writeFileSync(join(server.data, "pg_hba.conf"), RULES);
    await server.start();
    await server.sql("postgres", `create role ${ROLE} login password '${PASSWORD}'`);
    return server;
  }

  get socket(): string {
    return join(this.directory, `.s.PGSQL.${PORT}`);
  }

  /** How a member reaches a database over the socket in a directory. */
  url(database: string, directory = this.directory): string {
    const password = encodeURIComponent(PASSWORD);
    return `postgresql://${ROLE}:${password}@localhost/${database}?host=${directory}&port=${PORT}`;
  }

  /** Starts the server, and waits until it accepts connections. */
  async start(): Promise<void> {
    const listen = this.prefix.length === 0 ? "''" : "'0.0.0.0'";
    const options = `-k ${this.directory} -c listen_addresses=${listen}`;
    const log = join(this.directory, "log");
    await this.#program("pg_ctl", ["start", "-w", "-s", "-D", this.data, "-l", log, "-o", options]);
  }

  /** `fast` ends the connections; `immediate` does without a checkpoint, like a crash. */
  async stop(mode: "fast" | "immediate" = "fast"): Promise<void> {
    await this.#program("pg_ctl", ["stop", "-w", "-s", "-m", mode, "-D", this.data]);
  }

  /** Goes on, on a new timeline, from an older copy of the data: what was committed since is lost, as with an asynchronous standby. */
  async promote(copy: string): Promise<void> {
    await this.stop("immediate");
    rmSync(this.data, { recursive: true });
    renameSync(copy, this.data);
    writeFileSync(join(this.data, "standby.signal"), "");
    if (AS_POSTGRES.length > 0) await this.#execute(["chown", "-R", "postgres", this.data], []);
    await this.start();
    await this.#program("pg_ctl", ["promote", "-w", "-s", "-D", this.data]);
  }

  /** Kills all processes of the server. */
  async kill(): Promise<void> {
    const pid = this.#pid();
    if (pid === undefined) return;
    process.kill(pid, "SIGKILL");
    await until("the server is gone", () => !isAlive(pid) && this.#processes().length === 0);
  }

  /** Stops or continues the server's processes, so that it is silent but does not close a connection. */
  freeze(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#signal(signal);
  }

  #signal(signal: "SIGSTOP" | "SIGCONT" | "SIGKILL"): void {
    for (const pid of this.#processes())
      try {
        process.kill(pid, signal);
      } catch {
        // A backend has just ended.
      }
  }

  /** Runs statements as the superuser; returns the rows of the last one. */
  async sql<Row = Record<string, any>>(database: string, text: string): Promise<readonly Row[]> {
    // Beside the test, the members may have all that is in the environment.
    await using sql = new SQL({ path: this.socket, username: "postgres", database, max: 1, prepare: false });
    return (await sql.unsafe(text).simple()) as readonly Row[];
  }

  /** Makes a database that the members' role owns; returns its name. */
  async createDatabase(template = "template0"): Promise<string> {
    const name = `fleet${++this.#databases}`;
    await this.sql("postgres", `create database ${name} owner ${ROLE} template ${template}`);
    return name;
  }

  /** Runs a program of PostgreSQL, such as pg_dump, as the superuser. */
  async tool(name: string, args: readonly string[]): Promise<void> {
    await this.#program(name, ["-h", this.directory, "-p", String(PORT), "-U", "postgres", ...args]);
  }

  async #program(name: string, args: readonly string[]): Promise<void> {
    await this.#execute([join(postgresPrograms()!, name), ...args], AS_POSTGRES);
  }

  async #execute(command: readonly string[], as: readonly string[]): Promise<void> {
    // Into a file: the server inherits it, and a pipe would never end.
    const output = join(this.directory, "output");
    const child = Bun.spawn([...this.prefix, ...as, ...command], {
      cwd: this.directory,
      stdin: "ignore",
      stdout: Bun.file(output),
      stderr: Bun.file(output),
    });
    if ((await child.exited) === 0) return;
    throw new Error(`${command.join(" ")}: ${readFileSync(output, "utf8")} ${this.#log()}`);
  }

  #log(): string {
    try {
      return readFileSync(join(this.directory, "log"), "utf8");
    } catch {
      return "";
    }
  }

  #pid(): number | undefined {
    try {
      return Number(readFileSync(join(this.data, "postmaster.pid"), "utf8").split("\n")[0]);
    } catch {
      return undefined;
    }
  }

  /** The postmaster works in the data directory, and so do its children. */
  #processes(): number[] {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          return realpathSync(`/proc/${pid}/cwd`) === this.data && isAlive(pid);
        } catch {
          return false;
        }
      });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.freeze("SIGCONT");
    this.#signal("SIGKILL");
    await until("the server is gone", () => this.#processes().length === 0);
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** A directory in which only the tests' own user makes files, for the sockets of a proxy. */
  socketDirectory(name: string): string {
    const path = join(this.directory, name);
    mkdirSync(path);
    return path;
  }
}
