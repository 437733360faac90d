/** A PostgreSQL server of the benchmark's own, from Debian's package. */
import { SQL } from "bun";
import { chownSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

const PASSWORD = "bench";

export interface Server {
  readonly url: string;
  readonly pid: number;
  connect(): SQL;
  stop(): void;
}

function findPrograms(): string {
  const [found] = [...new Bun.Glob("*/bin/initdb").scanSync({ cwd: "/usr/lib/postgresql", absolute: true })]
    .sort()
    .reverse();
  if (found === undefined) throw new Error("PostgreSQL is not installed here");
  return found.slice(0, found.lastIndexOf("/"));
}

/** Starts it on a free port of the loopback interface. Throws if PostgreSQL is not installed. */
export async function startServer(): Promise<Server> {
  const programs = findPrograms();
  const directory = mkdtempSync(join(tmpdir(), "orchesjob-postgres-"));
  const isRoot = userInfo().uid === 0;
  const run = (...words: string[]) => {
    const command = isRoot ? ["runuser", "-u", "postgres", "--", ...words] : words;
    const { exitCode, stderr } = Bun.spawnSync(command, { cwd: "/", stdout: "ignore" });
    if (exitCode !== 0) throw new Error(`${words.join(" ")}: ${stderr.toString()}`);
  };
  if (isRoot) {
    const [, , uid, gid] = (await Bun.file("/etc/passwd").text()).match(/^postgres:([^:]*):(\d+):(\d+)/m)!;
    chownSync(directory, Number(uid), Number(gid));
  }
  const data = join(directory, "data");
  const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = probe;
  probe.stop(true);
  run(`${programs}/initdb`, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C");
  run(
    ...[`${programs}/pg_ctl`, "-D", data, "-l", join(directory, "log"), "-w", "start", "-o"],
    `-p ${port} -k ${directory} -c listen_addresses=127.0.0.1 -c max_connections=200 -c password_encryption=scram-sha-256`,
  );
  const admin = new SQL(`postgres://postgres@127.0.0.1:${port}/postgres`, { max: 1, database: "postgres" });
  await admin.unsafe(`create role bench login password '${PASSWORD}'`);
  await admin.unsafe("create database fleet owner bench");
  await admin.close();
  // As in production: whoever connects proves a password.
  await Bun.write(
    join(data, "pg_hba.conf"),
    "local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n",
  );
  run(`${programs}/pg_ctl`, "-D", data, "reload");
  const url = `postgresql://bench:${PASSWORD}@127.0.0.1:${port}/fleet`;
  return {
    url,
    pid: Number((await Bun.file(join(data, "postmaster.pid")).text()).split("\n", 1)[0]),
    connect: () => new SQL(url, { max: 1, database: "fleet", prepare: false }),
    stop() {
      run(`${programs}/pg_ctl`, "-D", data, "-m", "immediate", "-w", "stop");
      rmSync(directory, { recursive: true });
    },
  };
}
