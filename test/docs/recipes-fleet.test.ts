/** The recipes for two hosts of a fleet, run as they are: an Airflow task over SSH, and a systemd timer on each host. */
import { expect, setDefaultTimeout } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Fleet, type Member, serverOfFile } from "../support/fleet.ts";
import { Gate } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { Proxy } from "../support/proxy.ts";
import { Reading } from "../support/reading.ts";
import { readRecipeFile } from "../support/recipes.ts";
import { BINARY, type JobAnswer, ROOT, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { quote, Ssh } from "../support/sshd.ts";
import { PROGRAM, SystemdMachine } from "../support/systemd.ts";

setDefaultTimeout(TIMEOUT_MS);

const serverOf = serverOfFile();

/** A member whose user logs in over SSH; its state directory is where the recipe has it. */
async function startHost(member: Member, program: string): Promise<Ssh> {
  const path = join(member.directory, ".local/share/orchesjob");
  mkdirSync(path, { recursive: true, mode: 0o700 });
  symlinkSync(path, member.home);
  await member.join(["--lease", "2s"]);
  mkdirSync(join(member.directory, "bin"));
  symlinkSync(BINARY, join(member.directory, "bin/orchesjob"));
  writeFileSync(join(member.directory, "load-orders.sh"), program, { mode: 0o755 });
  const variables = { HOME: member.directory, PATH: `${member.directory}/bin:/usr/bin:/bin` };
  const words = Object.entries(variables).map(([name, value]) => `${name}=${quote(value)}`);
  return Ssh.start(member, { prelude: `unset ORCHESJOB_HOME; export ${words.join(" ")}; cd` });
}

function runs(member: Member): string {
  const path = join(member.directory, "runs");
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

testWith(
  ["postgresql", "sshd", "paramiko"],
  "the Airflow task on two hosts: the retry on the other host runs nothing twice, and takes over from a dead host",
  async () => {
    await using fleet = await Fleet.create(await serverOf());
    await using gate = new Gate(fleet);
    const hosts = [fleet.candidate("web-1"), fleet.candidate("web-2")] as const;
    const program = `#!/bin/sh\necho "begun $1"\n${gate.wait}\necho "$1" >> runs\necho done\n`;
    await using first = await startHost(hosts[0], program);
    await using second = await startHost(hosts[1], program);
    // One user, with one key.
    copyFileSync(join(hosts[0].directory, "user-key.pub"), join(hosts[1].directory, "user-key.pub"));
    copyFileSync(join(hosts[0].directory, "user-key"), join(fleet.directory, "user-key"));
    const known = hosts.map(({ directory }) => readFileSync(join(directory, "known-hosts"), "utf8"));
    writeFileSync(join(fleet.directory, "known-hosts"), known.join(""));
    const recipe = readRecipeFile("airflow_fleet_dag.py");
    const attempt = (number: number, day: string) => {
      const values = [`run_id=scheduled__${day}`, `ds=${day}`, `try_number=${number}`];
      const client = ["/usr/bin/python3", join(ROOT, "test/fixtures/clients/ssh-operator.py")];
      const ports = `web-1=${first.port},web-2=${second.port}`;
      return fleet.spawn([...client, ports, fleet.directory, ...values], { stdin: recipe });
    };

    // The connection breaks. The retry on the other host waits for the job of the first one.
    const broken = attempt(1, "2026-05-01");
    await new Reading(broken.stdout).until("begun");
    first.breakConnections();
    expect(await broken.exited).toBe(255);
    const retried = attempt(2, "2026-05-01");
    const said = new Reading(retried.stderr);
    await said.until('(member "web-1"); its output is there: ssh ');
    gate.open(1);
    expect(await retried.exited).toBe(0);
    // The answer of the success was lost: nothing runs again.
    expect((await fleet.finished(attempt(2, "2026-05-01"))).code).toBe(0);
    expect([runs(hosts[0]), runs(hosts[1])]).toEqual(["2026-05-01\n", ""]);

    // The first host stands still. The second one runs the command once the lease is surely over.
    const silenced = attempt(1, "2026-05-02");
    await new Reading(silenced.stdout).until("begun");
    const processes = hosts[0].processes().filter((pid) => pid !== silenced.pid);
    for (const pid of processes) process.kill(pid, "SIGSTOP");
    silenced.kill("SIGKILL");
    await silenced.exited;
    expect((await fleet.finished(attempt(2, "2026-05-02"))).code).toBe(125);
    gate.open(1);
    expect(await fleet.finished(attempt(4, "2026-05-02"))).toMatchObject({
      code: 0,
      stdout: "begun 2026-05-02\ndone\n",
    });
    expect(runs(hosts[1])).toBe("2026-05-02\n");
    for (const pid of processes) process.kill(pid, "SIGCONT");
    await until("the first host has ended its job", async () => {
      const [old] = (await hosts[0].json<JobAnswer[]>(["list", "--limit", "1"])) as JobAnswer[];
      return old?.failure === "partitioned";
    });
    expect(runs(hosts[0])).toBe("2026-05-01\n");
  },
);

testWith(
  ["postgresql", "systemd"],
  "the timer on two hosts: one runs the report, the other one has its result; a failure is tried again",
  async () => {
    await using fleet = await Fleet.create(await serverOf());
    // The socket is in the directory that the machine sees.
    using proxy = new Proxy(fleet);
    await using machine = await SystemdMachine.boot(fleet);
    const homes = ["/var/lib/orchesjob", "/var/lib/orchesjob-b"];
    for (const home of homes)
      await machine.json(["fleet", "join", proxy.url, "--name", home.split("/").at(-1)!], {
        env: { ORCHESJOB_HOME: home },
      });
    const script = `echo made >> /tmp/made\nuntil [ -e /tmp/go ]; do sleep 0.02; done\ntest "$ORCHESJOB_ATTEMPT" -ge 2\n`;
    machine.writeFile("/usr/local/sbin/report", `#!/bin/sh\n${script}`, 0o755);
    const unit = (name: string) => `/etc/systemd/system/${name}`;
    const agent = "orchesjob-agent.service";
    await machine.must([PROGRAM, "systemd", "--fleet", "--output", "/etc/systemd/system"]);
    for (const name of ["report.service", "report.timer"])
      machine.writeFile(unit(name), readRecipeFile(name));
    const verified = await machine.run([
      "systemd-analyze",
      "verify",
      unit("report.service"),
      unit("report.timer"),
    ]);
    expect(verified).toMatchObject({ code: 0, stderr: "" });
    // The second host is a second set of units, with the other state directory.
    const other = (text: string) =>
      text
        .replaceAll(agent, "agent-b.service")
        .replace("[Service]\n", `[Service]\nEnvironment=ORCHESJOB_HOME=${homes[1]}\n`);
    machine.writeFile(unit("report-b.service"), other(readRecipeFile("report.service")));
    machine.writeFile(
      unit("agent-b.service"),
      machine.readFile(unit(agent)).replaceAll(homes[0]!, homes[1]!),
    );
    for (const name of ["report", "report-b"])
      machine.writeFile(unit(`${name}.service.d/soon.conf`), "[Service]\nRestartSec=0\n");
    await machine.must(["systemctl", "daemon-reload"]);
    await machine.must(["systemctl", "enable", "--now", agent, "agent-b.service"]);
    await until("both agents have a lease", async () => {
      const rows = await fleet.sql<{ renewed_at: unknown }>(
        "select renewed_at from orchesjob.members where left_at is null",
      );
      return rows.length === 2 && rows.every((row) => row.renewed_at !== null);
    });
    machine.writeFile("/etc/systemd/system/report.timer.d/soon.conf", "[Timer]\nOnActiveSec=0\n");
    await machine.must(["systemctl", "daemon-reload"]);
    await machine.must(["systemctl", "enable", "--now", "report.timer"]);
    const jobs = () =>
      fleet.sql<{ status: string; member: string }>(
        "select status, member from orchesjob.jobs order by fencing_token",
      );
    await until("the first host runs it", async () => (await jobs())[0]?.status === "RUNNING");
    await machine.must(["systemctl", "start", "report-b"]);
    await until("the second host waits for it", async () =>
      (await machine.journal("report-b")).includes('(member "orchesjob"); its output is there'),
    );
    await machine.must(["touch", "/tmp/go"]);
    await until("both have a success", async () => {
      const [one, other] = await Promise.all(
        ["report", "report-b"].map((name) => machine.property(name, "ActiveState")),
      );
      return one === "inactive" && other === "inactive";
    });
    expect((await jobs()).map(({ status }) => status)).toEqual(["FAILED", "SUCCEEDED"]);
    expect(machine.readFile("/tmp/made")).toBe("made\nmade\n");
    // The timer of a host that comes late finds the day's job done.
    await machine.must(["systemctl", "start", "report-b"]);
    await until(
      "it has ended",
      async () => (await machine.property("report-b", "ActiveState")) === "inactive",
    );
    expect(await jobs()).toHaveLength(2);
    expect(await machine.must([PROGRAM, "fleet", "status", "--format", "table"])).toContain("orchesjob-b");
  },
  TIMEOUT_MS,
);
