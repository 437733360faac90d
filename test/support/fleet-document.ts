/** What docs/fleet.md presumes: a server `db.example.com` with TLS, with the roles and the schema as that page makes them. */
import { chmodSync, chownSync, copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Network } from "./hosts.ts";
import type { Server } from "./postgres.ts";
import { findProcesses, killAndWait } from "./processes.ts";
import { readBlock } from "./recipes.ts";
import { BINARY, type RunOptions, Sandbox, until } from "./sandbox.ts";
import { makeAuthority, makeCertificate } from "./tls.ts";

export const SERVER_NAME = "db.example.com";

const SETUP = "Set up in five minutes";

export class FleetDocument extends Sandbox {
  private constructor(
    readonly network: Network,
    readonly server: Server,
  ) {
    super();
  }

  static async create(): Promise<FleetDocument> {
    const { network, server } = await Network.create();
    const box = new FleetDocument(network, server);
    await box.#enableTls();
    writeFileSync(join(box.directory, "hosts"), `127.0.0.1 localhost ${SERVER_NAME}\n`);
    return box;
  }

  /** Types the first steps of the document: the roles, the schema, the rights. */
  async setUp(): Promise<void> {
    await this.sql("postgres", readBlock("docs/fleet.md", SETUP, "sql", 0));
    const schema = readBlock("docs/fleet.md", SETUP, "sh", 0).replaceAll(
      "orchesjob fleet",
      `${BINARY} fleet`,
    );
    const { code, stderr } = await this.execute([...this.enter(), "sh", "-ec", schema], {
      env: { TMPDIR: this.directory },
    });
    if (code !== 0) throw new Error(stderr);
    await this.sql("fleet", readBlock("docs/fleet.md", SETUP, "sql", 1));
  }

  /** Words that run a command on a machine that knows the server and its authority. */
  enter(): string[] {
    const script = [
      `mount --bind ${this.directory}/hosts /etc/hosts`,
      "mount -t tmpfs tmpfs /etc/ssl",
      `cp ${this.directory}/authority.pem /etc/ssl/db-ca.pem`,
      `cp ${this.directory}/stranger.pem /etc/ssl/stranger.pem`,
      'exec "$@"',
    ].join(" && ");
    return [...this.network.enter(), "unshare", "--mount", "sh", "-c", script, "sh"];
  }

  /** Runs statements as the superuser, with psql, as a person would. */
  async sql(database: string, text: string): Promise<void> {
    const path = join(this.server.directory, "typed.sql");
    writeFileSync(path, text);
    await this.server.tool("psql", ["-d", database, "-v", "ON_ERROR_STOP=1", "-qX", "-f", path]);
  }

  /** Runs psql as one of the roles; returns its output in columns that `|` separates. */
  async query(role: string, password: string, text: string): ReturnType<Sandbox["execute"]> {
    const url = `postgresql://${role}@${SERVER_NAME}/fleet?sslmode=verify-full&sslrootcert=/etc/ssl/db-ca.pem`;
    const words = ["psql", url, "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", text];
    return this.execute([...this.enter(), ...words], { env: { PGPASSWORD: password } });
  }

  /** Runs orchesjob as a member with a state directory of this name. */
  async as(member: string, args: readonly string[], options: RunOptions = {}): ReturnType<Sandbox["run"]> {
    const env = { ...options.env, ORCHESJOB_HOME: join(this.directory, member) };
    return this.execute([...this.enter(), BINARY, ...args], { ...options, env });
  }

  /** The agents of a member. */
  agents(member: string): number[] {
    const home = `ORCHESJOB_HOME=${join(this.directory, member)}\0`;
    return findProcesses(this, "_agent").filter((pid) =>
      readFileSync(`/proc/${pid}/environ`, "utf8").includes(home),
    );
  }

  async #enableTls(): Promise<void> {
    await makeAuthority(this, "authority");
    await makeAuthority(this, "stranger");
    const made = await makeCertificate(this, SERVER_NAME, "authority");
    const [certificate, key] = [
      join(this.server.directory, "tls.crt"),
      join(this.server.directory, "tls.key"),
    ];
    copyFileSync(made.certificate, certificate);
    copyFileSync(made.key, key);
    const [, , uid, gid] = readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .map((line) => line.split(":"))
      .find(([name]) => name === "postgres")!;
    chownSync(key, Number(uid), Number(gid));
    chmodSync(key, 0o600);
    for (const [name, value] of [
      ["ssl_cert_file", certificate],
      ["ssl_key_file", key],
      ["ssl", "on"],
    ])
      await this.server.sql("postgres", `alter system set ${name} = '${value}'`);
    await this.server.stop();
    await this.server.start();
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    // An agent stays for a minute after the last job; what else is left is an error.
    await until(
      "only agents are left",
      () => this.processes().length === findProcesses(this, "_agent").length,
    );
    for (const agent of findProcesses(this, "_agent")) await killAndWait(agent);
    await super[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
    await this.network[Symbol.asyncDispose]();
  }
}
