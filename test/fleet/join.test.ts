/** Joining and leaving, and what is refused with a sentence. */
import { expect, setDefaultTimeout } from "bun:test";
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expectFailure } from "../support/expect.ts";
import { Fleet, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { PASSWORD, ROLE } from "../support/postgres.ts";
import { Proxy } from "../support/proxy.ts";
import { TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

testWith(WITH_SERVER, "several hosts that join an empty database at once make the schema once", async () => {
  await using fleet = await Fleet.create(await server(), { empty: true });
  const members = [1, 2, 3, 4].map((number) => fleet.candidate(`m${number}`));
  await Promise.all(members.map((member) => member.join()));
  const status = await members[0]!.json<{ members: { member: string }[]; schema_version: number }>([
    ...["fleet", "status"],
  ]);
  expect(status.members.map(({ member }) => member)).toEqual(["m1", "m2", "m3", "m4"]);
  expect(await members[3]!.json(["start", "--sync", "--run-key", "k", "--", "true"])).toMatchObject({
    status: "SUCCEEDED",
  });
});

testWith(
  WITH_SERVER,
  "the membership is the owner's alone to read, and the command does not see the password",
  async () => {
    await using fleet = await Fleet.create(await server());
    const member = await fleet.member("m1");
    const file = join(member.home, "fleet.json");
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const job = await member.json(["start", "--sync", "--run-key", "k", "--", "env"]);
    const environment = readFileSync(job.stdout_file, "utf8");
    expect(environment).not.toContain(PASSWORD);
    expect(environment).not.toContain(encodeURIComponent(PASSWORD));
    chmodSync(file, 0o644);
    expectFailure(
      await member.run(["start", "--run-key", "k", "--", "true"]),
      4,
      /others may read .*chmod 600/,
    );
    chmodSync(file, 0o600);
    writeFileSync(file, "{");
    expectFailure(
      await member.run(["start", "--run-key", "k", "--", "true"]),
      4,
      /damaged.*nothing was started/,
    );
  },
);

testWith(WITH_SERVER, "a member of the same name is refused, and the other one stays", async () => {
  await using fleet = await Fleet.create(await server());
  const first = await fleet.member("m1");
  await first.json(["start", "--sync", "--run-key", "k", "--", "true"]);
  const namesake = fleet.candidate("m1");
  const refused = await namesake.run(["fleet", "join", fleet.url, "--name", "m1"]);
  expectFailure(refused, 4, new RegExp(`has a member "m1" already: ${first.home}`));
  expect(existsSync(join(namesake.home, "fleet.json"))).toBe(false);
  expect(await namesake.json(["start", "--sync", "--run-key", "k", "--", "true"])).toMatchObject({
    existing: false,
    attempt_no: 1,
  });
});

testWith(
  WITH_SERVER,
  "joining publishes what is there, and refuses a key that is active elsewhere, naming it",
  async () => {
    await using fleet = await Fleet.create(await server());
    const m1 = await fleet.member("m1");
    const m2 = fleet.candidate("m2");
    await using gate = new Gate(fleet);
    await startWaiting(m1, "both", gate);
    const mine = await startWaiting(m2, "both", gate);
    const done = await m2.json(["start", "--sync", "--run-key", "done", "--", "true"]);
    const refused = await m2.run(["fleet", "join", fleet.url, "--name", "m2"]);
    expectFailure(refused, 4, /run key "both" is active here/);
    expect(existsSync(join(m2.home, "fleet.json"))).toBe(false);
    await m2.json(["cancel", "--run-key", "both"]);
    const other = await startWaiting(m2, "other", gate);
    await m2.join();
    expect(await m1.json(["status", "--run-key", "other"])).toMatchObject({
      job_id: other.job_id,
      status: "RUNNING",
    });
    expect(await m1.json(["status", "--run-key", "done"])).toMatchObject({ job_id: done.job_id });
    expect(await m1.json(["status", "--job-id", mine.job_id])).toMatchObject({ status: "CANCELLED" });
    expect(await m1.json(["start", "--run-key", "other", "--", "true"])).toMatchObject({ existing: true });
  },
);

testWith(
  WITH_SERVER,
  "leaving is refused while a job is active, and then the directory is alone again",
  async () => {
    await using fleet = await Fleet.create(await server());
    const [m1, m2] = await fleet.members(2);
    await using gate = new Gate(fleet);
    const job = await startWaiting(m1!, "k", gate);
    expectFailure(await m1!.run(["fleet", "leave"]), 4, `job ${job.job_id} of run key "k" is RUNNING`);
    await m1!.json(["cancel", "--run-key", "k"]);
    expect(await m1!.json<object>(["fleet", "leave"])).toEqual({ left: true, member: "m1" });
    expectFailure(await m1!.run(["fleet", "status"]), 3, "is in no fleet");
    // What it had told stays.
    expect(await m2!.json(["status", "--run-key", "k"])).toMatchObject({
      status: "CANCELLED",
      job_id: job.job_id,
    });
    await fleet.server.stop();
    try {
      expect(await m1!.json(["start", "--sync", "--run-key", "k", "--", "true"])).toMatchObject({
        attempt_no: 2,
      });
    } finally {
      await fleet.server.start();
    }
    await m1!.join();
    expect(await m2!.json(["status", "--run-key", "k"])).toMatchObject({
      status: "SUCCEEDED",
      attempt_no: 2,
    });
  },
);

testWith(
  WITH_SERVER,
  "each way to a registry that does not work gets a sentence and its exit code",
  async () => {
    await using fleet = await Fleet.create(await server(), { empty: true });
    using proxy = new Proxy(fleet, { tcp: true });
    const member = fleet.candidate("m1");
    const url = (change: (url: URL) => void) => {
      const changed = new URL(fleet.url);
      change(changed);
      return changed.href;
    };
    await fleet.server.sql("postgres", `create role stranger login password 'secret'`);
    const cases: [url: string, code: number, message: RegExp][] = [
      [url((u) => (u.password = "wrong")), 1, /does not let user "orchesjob" in/],
      [url((u) => (u.pathname = "/nowhere")), 1, /has no database "nowhere"/],
      [url((u) => u.searchParams.set("port", "1")), 5, /cannot ask the registry of the fleet/],
      [`${proxy.url}?sslmode=require`, 1, /offers no TLS/],
      [url((u) => u.searchParams.set("sslmode", "verify-full")), 2, /needs sslrootcert/],
      [url((u) => u.searchParams.set("connect_timeout", "1")), 2, /"connect_timeout", which is not known/],
      [url((u) => ((u.username = "stranger"), (u.password = "secret"))), 4, /"stranger" may not do that/],
      ["mysql://a@b/c", 2, /needs PostgreSQL/],
      [`postgresql://${ROLE}@localhost/`, 2, /names no database/],
      [`postgresql://${ROLE}@does-not-exist.invalid/x`, 5, /cannot ask the registry of the fleet/],
    ];
    for (const [address, code, message] of cases) {
      const refused = await member.run(["fleet", "join", address, "--name", "m1"]);
      expectFailure(refused, code, message);
      expect(refused.stderr).not.toContain("secret");
      expect(refused.stderr).not.toContain(encodeURIComponent(PASSWORD));
    }
    expect(existsSync(join(member.home, "fleet.json"))).toBe(false);
  },
);

testWith(WITH_SERVER, "a registry of a newer version is refused, and left as it is", async () => {
  await using fleet = await Fleet.create(await server());
  const member = await fleet.member("m1");
  await fleet.sql("update orchesjob.registry set schema_version = schema_version + 1");
  const newcomer = fleet.candidate("m2");
  const refused = await newcomer.run(["fleet", "join", fleet.url, "--name", "m2"]);
  expectFailure(refused, 4, /belongs to a newer version/);
  // Members of the older version go on: a newer one keeps what they call.
  expect(await member.json(["start", "--sync", "--run-key", "k", "--", "true"])).toMatchObject({
    status: "SUCCEEDED",
  });
});

testWith(WITH_SERVER, "the password may be in a file that is named, or in ~/.pgpass", async () => {
  await using fleet = await Fleet.create(await server());
  const bare = new URL(fleet.url);
  bare.password = "";
  const [named, passwords] = [join(fleet.directory, "password"), join(fleet.directory, ".pgpass")];
  writeFileSync(named, `${PASSWORD}\n`, { mode: 0o600 });
  const m1 = fleet.candidate("m1");
  expectFailure(await m1.run(["fleet", "join", bare.href, "--name", "m1"]), 1, "does not let user");
  await m1.join(["--password-file", named], bare.href);
  expect(readFileSync(join(m1.home, "fleet.json"), "utf8")).not.toContain(PASSWORD);
  writeFileSync(passwords, `localhost:5432:*:${ROLE}:${PASSWORD.replace(":", "\\:")}\n`, { mode: 0o600 });
  const m2 = fleet.candidate("m2");
  const env = { HOME: fleet.directory };
  await m2.json(["fleet", "join", bare.href, "--name", "m2"], { env });
  expect(await m2.json(["start", "--sync", "--run-key", "k", "--", "true"], { env })).toMatchObject({
    status: "SUCCEEDED",
  });
});

testWith(WITH_SERVER, "the caller's environment does not steer the client", async () => {
  await using fleet = await Fleet.create(await server());
  const env = {
    ...{ PGDATABASE: "postgres", PGOPTIONS: "-c synchronous_commit=off", PGHOST: "/nowhere", PGPORT: "1" },
    ...{ PGUSER: "postgres", PGPASSWORD: "x", PGSSLMODE: "require", PGAPPNAME: "x" },
  };
  const member = fleet.candidate("m1");
  await member.json(["fleet", "join", fleet.url, "--name", "m1"], { env });
  const words = ["start", "--sync", "--run-key", "k", "--", "sh", "-c", "echo $PGDATABASE $PGUSER"];
  const job = await member.json(words, { env });
  // The command gets its environment all the same.
  expect(readFileSync(job.stdout_file, "utf8")).toBe("postgres postgres\n");
  expect(await fleet.registered("k")).toHaveLength(1);
});

testWith(
  WITH_SERVER,
  "a key that another member holds stays its own, although a newer job of it joins",
  async () => {
    await using fleet = await Fleet.create(await server());
    const m1 = await fleet.member("m1");
    const m2 = fleet.candidate("m2");
    await using gate = new Gate(fleet);
    const held = await startWaiting(m1, "k", gate);
    const alone = await m2.json(["start", "--sync", "--run-key", "k", "--", "true"]);
    await m2.join();
    expect(await m2.json(["status", "--run-key", "k"])).toMatchObject({ job_id: held.job_id });
    expect(await m2.json(["start", "--run-key", "k", "--", "true"])).toMatchObject({
      ...{ job_id: held.job_id, existing: true, status: "RUNNING" },
    });
    expect(await m1.json(["status", "--job-id", alone.job_id])).toMatchObject({ status: "SUCCEEDED" });
  },
);
