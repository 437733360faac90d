/** The agent as a service, in a real systemd: it stands, it comes back, it waits for another one, and a stop ends it. */
import { expect, setDefaultTimeout } from "bun:test";
import { Fleet, serverOfFile } from "../support/fleet.ts";
import { testWith } from "../support/needs.ts";
import { Proxy } from "../support/proxy.ts";
import { TIMEOUT_MS, until } from "../support/sandbox.ts";
import { PROGRAM, SystemdMachine, TESTER } from "../support/systemd.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

const UNIT = "orchesjob-agent.service";
const DIRECTORY = "/etc/systemd/system";

/** The pids of all agents inside, as systemd sees them. */
async function agents(machine: SystemdMachine): Promise<string[]> {
  return (await machine.run(["pgrep", "-f", "[ ]_agent"])).stdout.split("\n").filter(Boolean);
}

const mainPid = (machine: SystemdMachine) => machine.property(UNIT, "MainPID");

/** Waits until the one agent is the service's, and holds its lock; returns its pid. */
async function standing(machine: SystemdMachine): Promise<string> {
  return until("the service's agent runs", async () => {
    const [pid, ...others] = await agents(machine);
    if (pid === undefined || others.length > 0 || pid !== (await mainPid(machine))) return false;
    const metrics = await machine.must([PROGRAM, "metrics"]);
    return metrics.includes("\norchesjob_fleet_agent_running 1\n") && pid;
  });
}

testWith(["postgresql", "systemd"], "the agent as a service", async () => {
  await using fleet = await Fleet.create(await server());
  // Its socket is in the directory that the machine shares.
  using proxy = new Proxy(fleet);
  await using machine = await SystemdMachine.boot(fleet);
  const written = await machine.json<{ written: string[] }>(["systemd", "--fleet", "--output", DIRECTORY]);
  expect(written.written).toContain(`${DIRECTORY}/${UNIT}`);
  expect(await machine.run(["systemd-analyze", "verify", `${DIRECTORY}/${UNIT}`])).toMatchObject({
    code: 0,
    stdout: "",
    stderr: "",
  });
  await machine.must(["systemctl", "daemon-reload"]);

  // Outside of a fleet it does nothing.
  await machine.must(["systemctl", "start", UNIT]);
  expect(await machine.property(UNIT, "ActiveState")).toBe("inactive");

  await machine.must([PROGRAM, "fleet", "join", proxy.url, "--name", "m1"]);
  await machine.must(["systemctl", "enable", "--now", UNIT]);
  const first = await standing(machine);
  await until("it has a lease", async () => {
    const [row] = await fleet.sql("select 1 from orchesjob.sessions where lease_until > clock_timestamp()");
    return row !== undefined;
  });
  await machine.json(["start", "--sync", "--run-key", "k", "--", "true"]);
  await until("the job is published", async () => (await fleet.registered("k"))[0]?.status === "SUCCEEDED");
  // The end of a unit ends neither the service nor what it has to say of the unit's job.
  machine.writeFile("/etc/orchesjob/jobs/greet", "#!/bin/sh\necho hello\n", 0o755);
  await machine.must(["systemctl", "start", "orchesjob@greet"]);
  await until(
    "the unit's job is published",
    async () => (await fleet.registered("greet"))[0]?.status === "SUCCEEDED",
  );
  expect(await standing(machine)).toBe(first);

  await machine.must(["kill", "-KILL", first]);
  const second = await until("it is back", async () => {
    const pid = await standing(machine);
    return pid !== first && pid;
  });

  await machine.must(["systemctl", "stop", UNIT]);
  await until("it is gone", async () => (await agents(machine)).length === 0);
  expect(await machine.property(UNIT, "Result")).toBe("success");

  // Now the job starts an agent of its own, for which the service waits.
  await machine.json(["start", "--run-key", "long", "--", "sleep", "1000"]);
  const own = await until("an agent of the job", async () => {
    const [pid, ...others] = await agents(machine);
    return others.length === 0 && pid;
  });
  expect(own).not.toBe(second);
  await machine.must(["systemctl", "start", UNIT]);
  await until("both are there", async () => (await agents(machine)).length === 2);
  await machine.json(["cancel", "--run-key", "long"]);
  await until(
    "the end is published",
    async () => (await fleet.registered("long"))[0]?.status === "CANCELLED",
  );
  await machine.must(["kill", "-KILL", own]);
  await standing(machine);
  expect(await machine.property(UNIT, "NRestarts")).toBe("0");

  // It ends when the member leaves, and is not started again.
  await machine.json(["fleet", "leave"]);
  await until(
    "it has ended for good",
    async () => (await machine.property(UNIT, "ActiveState")) === "inactive",
  );
  expect(await agents(machine)).toEqual([]);
});

testWith(["postgresql", "systemd"], "the agent as a service of an ordinary user", async () => {
  await using fleet = await Fleet.create(await server());
  using proxy = new Proxy(fleet);
  await using machine = await SystemdMachine.boot(fleet);
  // The sandbox is closed to others.
  await machine.must(["chmod", "o+x", fleet.directory]);
  await machine.must(["chmod", "o+w", `${fleet.directory}/.s.PGSQL.5432`]);
  await machine.startUserManager();
  const home = `${TESTER.home}/.local/share/orchesjob`;
  const asTester = { asTester: true, env: { ORCHESJOB_HOME: home } };
  const directory = `${TESTER.home}/.config/systemd/user`;
  await machine.must([PROGRAM, "systemd", "--fleet", "--user", "--output", directory], asTester);
  await machine.must([PROGRAM, "fleet", "join", proxy.url, "--name", "m1"], asTester);
  await machine.must(["systemctl", "--user", "daemon-reload"], asTester);
  await machine.must(["systemctl", "--user", "enable", "--now", UNIT], asTester);
  await machine.must([PROGRAM, "start", "--sync", "--run-key", "k", "--", "true"], asTester);
  await until("the job is published", async () => (await fleet.registered("k"))[0]?.status === "SUCCEEDED");
  expect(await machine.property(UNIT, "ActiveState", asTester)).toBe("active");
  await machine.must(["systemctl", "--user", "stop", UNIT], asTester);
  await until("it is gone", async () => (await agents(machine)).length === 0);
});
