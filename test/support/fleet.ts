/** A fleet of a test's own: a database on the server of its file, and members with state directories of their own. */
import { afterAll } from "bun:test";
import type { Host } from "./hosts.ts";
import { Server } from "./postgres.ts";
import { findProcesses, readProc } from "./processes.ts";
import { isAlive, type JobAnswer, type RunOptions, Sandbox, until } from "./sandbox.ts";

/** The fields that a fleet adds to an answer; see docs/json.md. */
export interface FleetAnswer extends JobAnswer {
  readonly host: string;
  readonly member?: string;
  readonly as_of?: string;
  readonly on_partition: string | null;
  readonly silent_seconds?: number | null;
}

/** Starts a server before the first test of the file that asks for it, and ends it after the last one. */
export function serverOfFile(configuration = ""): () => Promise<Server> {
  let server: Promise<Server> | undefined;
  afterAll(async () => {
    await (await server)?.[Symbol.asyncDispose]();
  });
  return () => (server ??= Server.start(configuration));
}

/** One registry. Its directory is shared by the members: what they run works there, so that executions see each other. */
export class Fleet extends Sandbox {
  readonly #members: Member[] = [];

  private constructor(
    readonly server: Server,
    readonly database: string,
    /** The URL that members join. */
    public url: string,
  ) {
    super();
  }

  /** `empty`: a database without the schema, which takes a member some 100 ms to make. */
  static async create(server: Server, { empty = false } = {}): Promise<Fleet> {
    server.template ??= makeTemplate(server);
    const database = await server.createDatabase(empty ? undefined : await server.template);
    return new Fleet(server, database, server.url(database));
  }

  /** A member that has not joined. */
  candidate(name: string, host?: Host): Member {
    const member = new Member(this, name, host);
    this.#members.push(member);
    return member;
  }

  /** A member that has joined; `words` are options of `fleet join`. */
  async member(name: string, words: readonly string[] = [], host?: Host): Promise<Member> {
    const member = this.candidate(name, host);
    await member.join(words);
    return member;
  }

  /** So many members, `m1`, `m2` … */
  async members(count: number, words: readonly string[] = []): Promise<Member[]> {
    const members: Member[] = [];
    // One after the other: the machine has few processors, and a join is no load test.
    for (let number = 1; number <= count; number++) members.push(await this.member(`m${number}`, words));
    return members;
  }

  /** Asks the registry's database as the superuser. */
  async sql<Row = Record<string, any>>(text: string): Promise<readonly Row[]> {
    return this.server.sql<Row>(this.database, text);
  }

  /** The jobs of a key as the registry has them, newest first. */
  async registered(runKey: string): Promise<readonly RegisteredJob[]> {
    return this.sql<RegisteredJob>(
      `select * from orchesjob.jobs where run_key = '${runKey}' order by fencing_token desc`,
    );
  }

  /** Waits until so many processes sleep until they are notified. */
  async listeners(count: number): Promise<void> {
    await until(`${count} processes listen`, async () => {
      const [row] = await this.sql<{ listening: number }>(
        `select count(*)::int4 as listening from pg_stat_activity
        where datname = current_database() and query ilike 'listen%'`,
      );
      return row!.listening >= count;
    });
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    const errors: unknown[] = [];
    for (const member of this.#members)
      try {
        await member[Symbol.asyncDispose]();
      } catch (error) {
        errors.push(error);
      }
    await super[Symbol.asyncDispose]();
    if (errors.length > 0) throw errors[0];
  }
}

/** A row of the view `orchesjob.jobs`. */
export interface RegisteredJob {
  readonly job_id: string;
  readonly status: string;
  readonly member: string;
  readonly holds_key: boolean;
  readonly lost_reason: string | null;
  readonly late_status: string | null;
  readonly failure: string | null;
}

/** A state directory that is in the fleet, or may join it. */
export class Member extends Sandbox {
  constructor(
    readonly fleet: Fleet,
    readonly name: string,
    /** The namespaces that everything of this member runs in; undefined: those of the test. */
    public host: Host | undefined,
  ) {
    super();
  }

  override spawn(
    command: readonly string[],
    options: RunOptions = {},
  ): Bun.Subprocess<"ignore" | Blob, "pipe", "pipe"> {
    const cwd = options.cwd ?? this.fleet.directory;
    return super.spawn([...(this.host?.enter(cwd) ?? []), ...command], { ...options, cwd });
  }

  async join(words: readonly string[] = [], url = this.host?.url ?? this.fleet.url): Promise<void> {
    await this.json(["fleet", "join", url, "--name", this.name, ...words]);
  }

  /** As `json`, with the fields of a fleet. */
  async answer(args: readonly string[], options: RunOptions = {}): Promise<FleetAnswer> {
    return this.json<FleetAnswer>(args, options);
  }

  /** The agents of this member. More than one lives for a moment: the others end without having done anything. */
  agents(): number[] {
    return findProcesses(this, "_agent").filter(isAlive);
  }

  /** Waits for the agent; returns its pid. */
  async agent(): Promise<number> {
    return until(`an agent of ${this.name}`, () => {
      const [agent, ...others] = this.agents();
      return others.length === 0 && agent;
    });
  }

  /** Waits until the registry has everything that this member knows. */
  async untilPublished(): Promise<void> {
    await until(`${this.name} has published everything`, async () => {
      const status = await this.run(["fleet", "status"]);
      return status.code === 0 && (JSON.parse(status.stdout) as { unpublished: number }).unpublished === 0;
    });
  }

  /** An agent stays for a minute after the last job, so the test ends it; what else is left is an error. */
  override async [Symbol.asyncDispose](): Promise<void> {
    const isAgent = (pid: number) => readProc(pid, "cmdline").split("\0").includes("_agent");
    const deadline = performance.now() + 3_000;
    while (performance.now() < deadline && this.processes().some((pid) => !isAgent(pid))) await Bun.sleep(10);
    for (const agent of this.agents()) process.kill(agent, "SIGKILL");
    await super[Symbol.asyncDispose]();
  }
}

/** A database with the schema, made as a user would: by the first member. */
async function makeTemplate(server: Server): Promise<string> {
  const database = await server.createDatabase();
  await using box = new Sandbox();
  await box.json(["fleet", "join", server.url(database), "--name", "maker"]);
  await box.json(["fleet", "leave"]);
  return database;
}

export const WITH_SERVER = ["postgresql"] as const;
