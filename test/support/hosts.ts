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

  /** A host with a cable to this network. `former`: it was that one before a reboot; its processes must be dead. */
  async host(name: string, database: string, former?: Host): Promise<Host> {
    const number = former?.number ?? ++this.#hosts;
    const bootId = join(this.directory, `boot-${name}`);
    const machineId = join(this.directory, `machine-${name}`);
    writeFileSync(bootId, `${crypto.randomUUID()}\n`);
    writeFileSync(machineId, `${new Bun.CryptoHasher("md5").update(name).digest("hex")}\n`);
    const script = [
      `hostname ${name}`,
      "ip link set lo up",
      `mount --bind ${bootId} /proc/sys/kernel/random/boot_id`,
      // Containers may have none; then all hosts seem to be the same machine.
      `{ [ ! -e /etc/machine-id ] || mount --bind ${machineId} /etc/machine-id; }`,
    ].join(" && ");
    const keeper = this.spawn(["unshare", "--net", "--uts", "--mount", "sh", "-c", keep(script)]);
    await untilReady(this, keeper);
    const cable = `cable${number}`;
    const outside = [
      former === undefined ? "true" : `ip link delete ${cable}`,
      `ip link add ${cable} type veth peer name eth0 netns ${keeper.pid}`,
      `ip addr add 10.77.${number}.1/24 dev ${cable}`,
      `ip link set ${cable} up`,
    ];
    await must(this, [...this.enter(), "sh", "-c", outside.join(" && ")]);
    const inside = [
      `ip addr add 10.77.${number}.2/24 dev eth0`,
      "ip link set eth0 up",
      // A copy of another host's disk knows the server by the address that is meant for that host.
      `ip route add default via 10.77.${number}.1`,
    ];
    const network = ["nsenter", `--net=/proc/${keeper.pid}/ns/net`];
    await must(this, [...network, "sh", "-c", inside.join(" && ")]);
    const password = encodeURIComponent(PASSWORD);
    return new Host(
      this,
      keeper.pid,
      number,
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
    /** Of its cable and its addresses. */
    readonly number: number,
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
    await must(this.network, [...this.network.enter(), "ip", "link", "set", `cable${this.number}`, state]);
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
