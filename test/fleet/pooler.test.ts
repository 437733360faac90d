/** A fleet behind PgBouncer in transaction mode: everything works, but the agents cannot be notified, and ask every few seconds. */
import { expect, setDefaultTimeout } from "bun:test";
import { chmodSync, chownSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Fleet, type Member, serverOfFile } from "../support/fleet.ts";
import { testWith } from "../support/needs.ts";
import { PASSWORD, ROLE, type Server } from "../support/postgres.ts";
import { isAlive, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

/** A pooler on a socket of its own, which looks to clients like the server's. */
async function startPooler(running: Server): Promise<{ readonly directory: string } & AsyncDisposable> {
  const directory = running.socketDirectory("pooler");
  const file = (name: string, text: string) => writeFileSync(join(directory, name), text);
  const { port, host } = { port: 5432, host: running.directory };
  file("users", `"${ROLE}" "${PASSWORD}"\n`);
  file(
    "ini",
    `[databases]
* = host=${host} port=${port}
[pgbouncer]
unix_socket_dir = ${directory}
listen_port = ${port}
auth_type = plain
auth_file = ${directory}/users
pool_mode = transaction
logfile = ${directory}/log
`,
  );
  const owner = statSync(running.data);
  for (const path of [directory, `${directory}/users`, `${directory}/ini`])
    chownSync(path, owner.uid, owner.gid);
  chmodSync(directory, 0o755);
  const as =
    process.getuid?.() === 0 ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] : [];
  const pooler = Bun.spawn([...as, Bun.which("pgbouncer") ?? "/usr/sbin/pgbouncer", join(directory, "ini")], {
    stdout: "ignore",
    stderr: "ignore",
  });
  await until("the pooler listens", async () => {
    if (!isAlive(pooler.pid))
      throw new Error(`pgbouncer has ended: ${await Bun.file(join(directory, "log")).text()}`);
    try {
      (await Bun.connect({ unix: join(directory, `.s.PGSQL.${port}`), socket: { data() {} } })).end();
      return true;
    } catch {
      return false;
    }
  });
  return {
    directory,
    async [Symbol.asyncDispose]() {
      pooler.kill("SIGKILL");
      await pooler.exited;
    },
  };
}

testWith(["postgresql", "pgbouncer"], "a fleet works behind PgBouncer in transaction mode", async () => {
  const running = await server();
  await using fleet = await Fleet.create(running);
  await using pooler = await startPooler(running);
  fleet.url = running.url(fleet.database, pooler.directory);
  const [first, second] = (await fleet.members(2)) as [Member, Member];
  const callers = [first, second, first, second].map((member) =>
    member.answer(["start", "--sync", "--run-key", "k", "--request-id", "r", "--", ...witness(":")]),
  );
  const answers = await Promise.all(callers);
  expect(new Set(answers.map((answer) => answer.job_id)).size).toBe(1);
  expect(readExecutions(fleet, "k")).toMatchObject({ started: [answers[0]!.job_id], overlapping: [] });
  await first.answer(["start", "--run-key", "long", "--", "sleep", "1000"]);
  // Without a notification: the agent of the first asks every 3 s.
  expect(await second.answer(["cancel", "--run-key", "long"])).toMatchObject({
    status: "CANCELLED",
    member: "m1",
  });
});
