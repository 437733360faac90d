/** doctor in a fleet: what it says of a healthy one, and of each fault. It never hangs, and changes nothing without --fix. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, chownSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readDocument } from "../support/console.ts";
import { openDatabase } from "../support/database.ts";
import { type Diagnosis, diagnose, FLEET_CHECKS } from "../support/doctor.ts";
import { expectFailure } from "../support/expect.ts";
import { Fleet, type Member, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { Network } from "../support/hosts.ts";
import { testWith } from "../support/needs.ts";
import { startPooler } from "../support/pooler.ts";
import { PASSWORD, ROLE, Server } from "../support/postgres.ts";
import { isAlive, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile("fsync = on\n");

const examine = (member: Member, words: readonly string[] = []) =>
  diagnose(member, words, undefined, FLEET_CHECKS);

/** The checks of the fleet that are not ok, by name and status. */
const faults = ({ complaints }: Diagnosis) =>
  complaints
    .filter(({ check }) => check.startsWith("fleet_"))
    .map(({ check, status }) => `${check}: ${status}`);

testWith(WITH_SERVER, "a healthy fleet has no fault, with and without an active job", async () => {
  await using fleet = await Fleet.create(await server());
  const [member] = (await fleet.members(2)) as [Member, Member];
  const idle = await examine(member);
  expect(faults(idle)).toEqual([]);
  expect(idle.of("fleet_file").message).toContain('member "m1", lease 1m');
  expect(idle.of("fleet_registry").message).toMatch(/answers in \d.* ms.*schema \d+; 2 members, \d/);
  expect(idle.of("fleet_clock").message).toMatch(/clock (agrees|is \d)/);
  expect(idle.of("fleet_tls").message).toContain("on this machine");
  expect(idle.of("fleet_server").message).toContain("without waiting for a standby");
  expect(idle.of("fleet_changes").message).toBe("the registry has everything");
  await using gate = new Gate(fleet);
  await startWaiting(member, "k", gate);
  await member.agent();
  const busy = await examine(member);
  expect(faults(busy)).toEqual([]);
  expect(busy.of("fleet_agent").message).toMatch(/the agent runs; \d+s of the lease of 1m are left|1m of/);
  gate.open();
  await member.json(["wait", "--run-key", "k"]);
});

test("operations.md names every check of a fleet, in the same order", () => {
  const named = [...readDocument("docs/operations.md").matchAll(/^\| `(fleet_\w+)` /gm)];
  const checks = FLEET_CHECKS.filter((check) => check.startsWith("fleet_"));
  expect(named.map((match) => match[1]!)).toEqual(checks);
});

testWith(WITH_SERVER, "outside of a fleet there are no such checks", async () => {
  await using fleet = await Fleet.create(await server());
  const outsider = fleet.candidate("none");
  await outsider.json(["start", "--sync", "--run-key", "k", "--", "true"]);
  await diagnose(outsider);
});

testWith(
  WITH_SERVER,
  "fleet.json that others may read is a problem that --fix repairs; a damaged one is not",
  async () => {
    await using fleet = await Fleet.create(await server());
    const member = await fleet.member("m1");
    const file = join(member.home, "fleet.json");
    chmodSync(file, 0o644);
    const open = await examine(member);
    expect(open.of("fleet_file")).toMatchObject({ status: "problem", way_out: `run: chmod 600 ${file}` });
    expect(open.of("fleet_registry").status).toBe("problem");
    expect(open.of("fleet_tls").message).toContain("skipped");
    expect(statSync(file).mode & 0o777).toBe(0o644);
    const repaired = await examine(member, ["--fix"]);
    expect(repaired.of("fleet_file")).toMatchObject({ status: "ok", fixed: `chmod 600 ${file}` });
    expect(faults(repaired)).toEqual([]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    writeFileSync(file, "{");
    const damaged = await examine(member, ["--fix"]);
    expect(damaged.of("fleet_file")).toMatchObject({ status: "problem", fixed: null });
    expect(damaged.of("fleet_file").message).toContain("is damaged");
  },
);

testWith(
  WITH_SERVER,
  "a password file that others may read is a warning, a missing one a problem",
  async () => {
    await using fleet = await Fleet.create(await server());
    const member = fleet.candidate("m1");
    const file = join(member.directory, "password");
    writeFileSync(file, `${PASSWORD}\n`, { mode: 0o600 });
    const url = new URL(fleet.url);
    url.password = "";
    await member.join(["--password-file", file], url.href);
    expect(faults(await examine(member))).toEqual([]);
    chmodSync(file, 0o640);
    const open = await examine(member);
    expect(faults(open)).toEqual(["fleet_file: warning"]);
    expect(open.of("fleet_file").way_out).toBe(`chmod 600 ${file}`);
    chmodSync(file, 0o600);
    writeFileSync(file, "wrong\n");
    const wrong = await examine(member);
    expect(wrong.of("fleet_registry")).toMatchObject({ status: "problem" });
    expect(wrong.of("fleet_registry").message).toContain(`does not let user "${ROLE}" in`);
  },
);

testWith(WITH_SERVER, "a member's role needs no DDL, and a right that it lacks is named", async () => {
  const running = await server();
  await using fleet = await Fleet.create(running);
  const owner = await fleet.member("owner");
  await fleet.sql(`create role clerk login password '${PASSWORD}';
    grant usage on schema orchesjob to clerk;
    grant execute on all functions in schema orchesjob to clerk`);
  try {
    const member = fleet.candidate("m1");
    await member.join([], fleet.url.replace(`//${ROLE}:`, "//clerk:"));
    expect(faults(await examine(member))).toEqual([]);
    await fleet.sql("revoke execute on function orchesjob.claim(jsonb, jsonb) from clerk");
    const less = await examine(member);
    expect(faults(less)).toEqual(["fleet_rights: problem"]);
    expect(less.of("fleet_rights").message).toBe('user "clerk" may not call claim in schema orchesjob');
    expect(faults(await examine(owner))).toEqual([]);
    await fleet.sql("revoke usage on schema orchesjob from clerk");
    const none = await examine(member);
    expect(none.of("fleet_registry")).toMatchObject({ status: "problem" });
    expect(none.of("fleet_registry").message).toContain('user "clerk" may not do that');
  } finally {
    await fleet.sql("drop owned by clerk; drop role clerk");
  }
});

testWith(["postgresql", "pgbouncer"], "a pooler that cannot notify is a warning", async () => {
  const running = await server();
  await using fleet = await Fleet.create(running);
  await using pooler = await startPooler(running);
  fleet.url = running.url(fleet.database, pooler.directory);
  const diagnosis = await examine(await fleet.member("m1"));
  expect(faults(diagnosis)).toEqual(["fleet_notify: warning"]);
  expect(diagnosis.of("fleet_notify").message).toContain("asks every 3 s");
});

testWith(WITH_SERVER, "a recovery that is under way says how long no key is granted, and why", async () => {
  await using fleet = await Fleet.create(await server());
  const member = await fleet.member("m1");
  await fleet.sql("select orchesjob.begin_recovery(epoch, 'a test') from orchesjob.registry");
  const diagnosis = await examine(member);
  expect(faults(diagnosis)).toEqual(["fleet_server: warning"]);
  expect(diagnosis.of("fleet_server").message).toMatch(/no key is granted for (1m|\d+s) \(a test\)/);
});

testWith(WITH_SERVER, "a standby is named as such, and starts nothing", async () => {
  await using running = await Server.start("fsync = on\n");
  await using fleet = await Fleet.create(running);
  const member = await fleet.member("m1");
  await running.stop();
  writeFileSync(join(running.data, "standby.signal"), "");
  await running.start();
  const { message, status } = (await examine(member)).of("fleet_registry");
  expect(status).toBe("problem");
  expect(message).toContain("it is a standby");
  const refused = await member.run(["start", "--run-key", "k", "--", "true"]);
  expectFailure(refused, 5, /it is a standby, or default_transaction_read_only is on; nothing was started/);
});

testWith(
  ["postgresql", "netns", "openssl"],
  "over a network, no TLS is a warning, and so is a certificate that nobody verifies",
  async () => {
    const { network, server: remote } = await Network.create();
    await using _network = network;
    await using running = remote;
    await using fleet = await Fleet.create(running);
    const host = await network.host("h1", fleet.database);
    const member = fleet.candidate("m1", host);
    await member.join();
    const plain = await examine(member);
    expect(plain.of("fleet_tls").status).toBe("warning");
    expect(plain.of("fleet_tls").message).toContain("no TLS");

    const [key, certificate] = ["server.key", "server.crt"].map((name) => join(running.data, name));
    const address = new URL(host.url).hostname;
    const words = `req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=${address} -addext subjectAltName=IP:${address}`;
    const made = await network.execute([
      "openssl",
      ...words.split(" "),
      "-keyout",
      key!,
      "-out",
      certificate!,
    ]);
    expect(made.code).toBe(0);
    const owner = statSync(running.data);
    for (const file of [key!, certificate!]) chownSync(file, owner.uid, owner.gid);
    chmodSync(key!, 0o600);
    await running.sql("postgres", "alter system set ssl = on");
    await running.sql("postgres", "select pg_reload_conf()");
    await until("the server offers TLS", async () => {
      const result = await member.run(["fleet", "join", `${host.url}?sslmode=require`, "--name", "m1"]);
      return result.code === 0;
    });
    const unverified = await examine(member);
    expect(unverified.of("fleet_tls").status).toBe("warning");
    expect(unverified.of("fleet_tls").message).toContain("TLS without verification");
    await member.join([], `${host.url}?sslmode=verify-full&sslrootcert=${certificate}`);
    expect((await examine(member)).of("fleet_tls")).toMatchObject({
      status: "ok",
      message: "TLS, and the certificate of the server is verified",
    });
  },
);

testWith(WITH_SERVER, "a server without fsync is a problem", async () => {
  await using running = await Server.start();
  await using fleet = await Fleet.create(running);
  const diagnosis = await examine(await fleet.member("m1"));
  expect(faults(diagnosis)).toEqual(["fleet_server: problem"]);
  expect(diagnosis.of("fleet_server").message).toContain("fsync = off");
});

testWith(
  WITH_SERVER,
  "a registry that is silent, and one that is gone, are a problem; doctor does not hang",
  async () => {
    await using running = await Server.start("fsync = on\n");
    await using fleet = await Fleet.create(running);
    const member = await fleet.member("m1", ["--lease", "6s"]);
    running.freeze("SIGSTOP");
    const silent = await examine(member);
    expect(silent.of("fleet_registry")).toMatchObject({ status: "problem" });
    expect(silent.of("fleet_registry").message).toContain("no answer within 1 s");
    expect(silent.of("fleet_member").message).toContain("skipped");
    running.freeze("SIGCONT");
    await running.stop();
    await using gate = new Gate(fleet);
    const gone = await examine(member);
    expect(gone.of("fleet_registry")).toMatchObject({ status: "problem" });
    expect(gone.of("fleet_changes")).toMatchObject({ status: "ok" });
    await running.start();
    await startWaiting(member, "k", gate);
    await running.stop();
    gate.open();
    await member.json(["wait", "--run-key", "k"]);
    const late = await examine(member);
    expect(late.of("fleet_changes").status).toBe("warning");
    expect(late.of("fleet_changes").message).toMatch(
      /^\d+ changes? (is|are) not published yet; job \S+, the oldest of them, has ended \d+s ago/,
    );
    await running.start();
    await member.untilPublished();
    expect(faults(await examine(member))).toEqual([]);
  },
);

testWith(
  WITH_SERVER,
  "a lease that the agent does not renew is a problem, until it renews again",
  async () => {
    await using fleet = await Fleet.create(await server());
    const member = await fleet.member("m1", ["--lease", "3s"]);
    await using gate = new Gate(fleet);
    await startWaiting(member, "k", gate);
    const agent = await member.agent();
    process.kill(agent, "SIGSTOP");
    await until("the lease is over", async () => {
      const [row] = await fleet.sql<{ over: boolean }>(
        "select lease_until < clock_timestamp() as over from orchesjob.sessions",
      );
      return row!.over;
    });
    const stopped = await examine(member);
    expect(stopped.of("fleet_agent").status).toBe("problem");
    expect(stopped.of("fleet_agent").message).toContain("1 job is active, but the lease is over since");
    process.kill(agent, "SIGCONT");
    await until("the agent has renewed", async () => faults(await examine(member)).length === 0);
    gate.open();
    await member.json(["wait", "--run-key", "k"]);
  },
);

testWith(
  WITH_SERVER,
  "missing triggers are a problem that --fix repairs, and what was missed is published",
  async () => {
    await using fleet = await Fleet.create(await server());
    const member = await fleet.member("m1");
    await member.json(["start", "--sync", "--run-key", "k", "--", "true"]);
    await member.untilPublished();
    // With its next renewal it would make the trigger again.
    const agent = await member.agent();
    process.kill(agent, "SIGKILL");
    await until("the agent is gone", () => !isAlive(agent));
    {
      using database = openDatabase(member);
      database.run("drop trigger fleet_update");
    }
    const broken = await examine(member);
    expect(faults(broken)).toEqual(["fleet_changes: problem"]);
    const repaired = await examine(member, ["--fix"]);
    expect(repaired.of("fleet_changes").fixed).toContain("made the triggers again");
    await member.json(["start", "--sync", "--run-key", "k", "--", "true"]);
    await member.untilPublished();
    expect(faults(await examine(member))).toEqual([]);
  },
);

testWith(WITH_SERVER, "a membership that another machine uses is a problem", async () => {
  await using fleet = await Fleet.create(await server());
  const member = await fleet.member("m1");
  await member.json(["start", "--sync", "--run-key", "k", "--", "true"]);
  // Otherwise it might renew the session meanwhile.
  const agent = await member.agent();
  process.kill(agent, "SIGKILL");
  await until("the agent is gone", () => !isAlive(agent));
  // As if that session were of the machine whose disk was copied.
  await fleet.sql(
    "update orchesjob.sessions set boot_id = 'another', machine_id = 'another', host = 'elsewhere'",
  );
  const copy = await examine(member);
  expect(copy.of("fleet_member")).toMatchObject({ status: "problem" });
  expect(copy.of("fleet_member").message).toContain("is in use on host elsewhere");
  expect(copy.of("fleet_member").way_out).toContain("fleet leave --copy");
  await fleet.sql("update orchesjob.member_records set left_at = now()");
  expect((await examine(member)).of("fleet_member").way_out).toContain("join again");
});
