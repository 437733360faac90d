/** Creates the schema of the registry, or brings it up to date. Needs the rights of its owner; many may call it at once. */
import type { SQL } from "bun";
import { OrchesjobError } from "../../job/errors.ts";
import tables from "./migrations/0001-tables.sql" with { type: "text" };
import sessions from "./migrations/0002-sessions.sql" with { type: "text" };
import claims from "./migrations/0003-claims.sql" with { type: "text" };
import publications from "./migrations/0004-publications.sql" with { type: "text" };
import reads from "./migrations/0005-reads.sql" with { type: "text" };
import views from "./migrations/0006-views.sql" with { type: "text" };
import type { Connection } from "./connection.ts";

/** In order; the registry counts how many it has had. Never change one that was released. */
const MIGRATIONS: readonly string[] = [tables, sessions, claims, publications, reads, views];

/** The version of the schema that this program knows. */
export const KNOWN_SCHEMA = MIGRATIONS.length;

/** Key of the advisory lock: "ojob". */
const LOCK = 0x6f6a6f62;

/** Returns whether anything was changed. Throws `conflict` if the schema is newer than this program. */
export async function migrate(connection: Connection): Promise<boolean> {
  const before = await readVersion(connection);
  if (before === MIGRATIONS.length) return false;
  await connection.ask((sql) =>
    sql.begin(async (transaction) => {
      await transaction`select pg_advisory_xact_lock(${LOCK})`;
      // Another member may have been faster.
      const version = await versionIn(transaction, true);
      refuseNewer(version, connection);
      if (version === 0) await transaction`create schema if not exists orchesjob`;
      for (const text of MIGRATIONS.slice(version)) await transaction.unsafe(text).simple();
      if (version === 0) {
        await transaction`insert into orchesjob.registry (schema_version, server_identity, epoch)
          values (${MIGRATIONS.length}, orchesjob.server_identity(), 1)`;
        await transaction`select setval('orchesjob.fencing_tokens', orchesjob.token_floor())`;
      } else await transaction`update orchesjob.registry set schema_version = ${MIGRATIONS.length}`;
    }),
  );
  return true;
}

/** The version of the schema; 0: there is none. Throws `conflict` if it is newer. */
async function readVersion(connection: Connection): Promise<number> {
  const version = await connection.ask((sql) => versionIn(sql, false));
  refuseNewer(version, connection);
  return version;
}

async function versionIn(sql: SQL, isOwner: boolean): Promise<number> {
  // Not to_regclass(): it may answer from a cache that is older than the lock, and so than the schema.
  const [found] = await sql`select exists (
    select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'orchesjob' and c.relname = 'registry') as exists`;
  if (!found.exists) return 0;
  // A member may read no table.
  const [row] = isOwner
    ? await sql`select schema_version as version from orchesjob.registry`
    : await sql`select (orchesjob.describe() ->> 'schema_version')::int4 as version`;
  return Number(row.version);
}

function refuseNewer(version: number, { address }: Connection): void {
  if (version <= MIGRATIONS.length) return;
  throw new OrchesjobError(
    "conflict",
    `the registry of the fleet (${address.place}) has schema ${version}, but this orchesjob knows only ${MIGRATIONS.length}: it belongs to a newer version`,
    "use that version on this host, too",
  );
}
