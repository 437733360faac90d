/**
 * Hosts in namespaces: each has a name, a boot id and a network of its own, with a cable to the server's network that a test
 * pulls. All of it is in the namespaces of processes that the test started, and vanishes with them.
 */
import { afterAll } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { killAndWait } from "./processes.ts";
import { PASSWORD, ROLE, Server } from "./postgres.ts";
import { Sandbox, until } from "./sandbox.ts";

/** Makes a network before the first test of the file that asks for it, and ends it after the last one. */
export function networkOfFile(): () => Promise<{ network: Network; server: Server }> {
  let made: ReturnType<typeof Network.create> | undefined;
  afterAll(async () => {
    const { network, server } = (await made) ?? {};
    await server?.[Symbol.asyncDispose]();
    await network?.[Symbol.asyncDispose]();
  });
  return () => (made ??= Network.create());
}

/** A network of its own, with a server in it. */
export class Network extends Sandbox {
  readonly #keeper: ReturnType<Sandbox["spawn"]>;
  #hosts = 0;

  private constructor(keeper: (box: Sandbox) => ReturnType<Sandbox["spawn"]>) {
    super();
    this.#keeper = keeper(this);
  }

  static async create(): Promise<{ network: Network; server: Server }> {
    const network = new Network((box) =>
      box.spawn(["unshare", "--net", "sh", "-c", keep("ip link set lo up")]),
    );
    await untilReady(network, network.#keeper);
    return { network, server: await Server.start("", network.enter()) };
  }

  enter(): string[] {
    return ["nsenter", `--net=/proc/${this.#keeper.pid}/ns/net`];
  }

  /** A host with a cable to this network. */
  async host(name: string, database: string): Promise<Host> {
    const number = ++this.#hosts;
    const bootId = join(this.directory, `boot-${name}`);
    writeFileSync(bootId, `${crypto.randomUUID()}\n`);
    const script = [
      `hostname ${name}`,
      "ip link set lo up",
      `mount --bind ${bootId} /proc/sys/kernel/random/boot_id`,
    ].join(" && ");
    const keeper = this.spawn(["unshare", "--net", "--uts", "--mount", "sh", "-c", keep(script)]);
    await untilReady(this, keeper);
    const cable = `cable${number}`;
    const outside = [
      `ip link add ${cable} type veth peer name eth0 netns ${keeper.pid}`,
      `ip addr add 10.77.${number}.1/24 dev ${cable}`,
      `ip link set ${cable} up`,
    ];
    await must(this, [...this.enter(), "sh", "-c", outside.join(" && ")]);
    const inside = `ip addr add 10.77.${number}.2/24 dev eth0 && ip link set eth0 up`;
    await must(this, ["nsenter", `--net=/proc/${keeper.pid}/ns/net`, "sh", "-c", inside]);
    const password = encodeURIComponent(PASSWORD);
    return new Host(
      this,
      keeper.pid,
      cable,
      `postgresql://${ROLE}:${password}@10.77.${number}.1/${database}`,
    );
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await killAndWait(this.#keeper.pid);
    await super[Symbol.asyncDispose]();
  }
}

export class Host {
  constructor(
    readonly network: Network,
    readonly keeper: number,
    readonly cable: string,
    /** How the host reaches the registry. */
    readonly url: string,
  ) {}

  /** Words that run a command on this host. */
  enter(cwd: string): string[] {
    const namespaces = ["net", "uts", "mnt"].map((kind) => {
      const option = kind === "mnt" ? "mount" : kind;
      return `--${option}=/proc/${this.keeper}/ns/${kind}`;
    });
    return ["nsenter", ...namespaces, `--wdns=${cwd}`];
  }

  /** No packet comes through any more, and nobody is told. */
  async pull(): Promise<void> {
    await this.#set("down");
  }

  async plug(): Promise<void> {
    await this.#set("up");
  }

  async #set(state: "down" | "up"): Promise<void> {
    await must(this.network, [...this.network.enter(), "ip", "link", "set", this.cable, state]);
  }
}

/** A script that prepares the namespaces, says so, and stays. */
function keep(script: string): string {
  return `${script} && exec sleep 1000000`;
}

async function untilReady(box: Sandbox, keeper: ReturnType<Sandbox["spawn"]>): Promise<void> {
  await until("the namespaces are ready", async () => {
    if (keeper.exitCode !== null) throw new Error((await box.finished(keeper)).stderr);
    return (await Bun.file(`/proc/${keeper.pid}/cmdline`).text()).startsWith("sleep\0");
  });
}

async function must(box: Sandbox, command: readonly string[]): Promise<void> {
  const { code, stderr } = await box.execute(command);
  if (code !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}
