/** Notifications of the registry. Between two connections some may be lost, so each new connection counts as news, too. */
import type { SQL } from "bun";

/** What it needs of a connection. */
interface Asker {
  ask<T>(question: (sql: SQL) => Promise<T>): Promise<T>;
}

/** How long a notification of our own may take to come back, in ms. */
const PROBE_MS = 1_000;
const PROBE = "probe";

/**
 * Calls back when there is news about a member or a job. False if nothing comes through, as behind PgBouncer in transaction mode.
 * Later the client connects again by itself.
 */
export async function listen(connection: Asker, name: string, callback: () => void): Promise<boolean> {
  // As md5() of PostgreSQL: job ids may be longer than the name of a channel.
  const channel = `orchesjob_${new Bun.CryptoHasher("md5").update(name).digest("hex")}`;
  const { promise: arrived, resolve } = Promise.withResolvers<boolean>();
  const hear = (text: string) => {
    if (text === PROBE) resolve(true);
    else callback();
  };
  await connection.ask(async (sql) => {
    await sql.listen(channel, hear, callback);
    await sql`select pg_notify(${channel}, ${PROBE})`;
  });
  const timer = setTimeout(() => resolve(false), PROBE_MS);
  const works = await arrived;
  clearTimeout(timer);
  return works;
}
