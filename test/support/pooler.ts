/** PgBouncer in transaction mode, before the server of a test. */
import { chmodSync, chownSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PASSWORD, ROLE, type Server } from "./postgres.ts";
import { isAlive, until } from "./sandbox.ts";

/** A pooler on a socket of its own, which looks to clients like the server's. */
export async function startPooler(
  running: Server,
): Promise<{ readonly directory: string } & AsyncDisposable> {
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
