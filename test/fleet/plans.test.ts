/** A start reads a few rows of the registry, however many there are, and whatever the statistics of the planner say. */
import { expect, setDefaultTimeout } from "bun:test";
import { Fleet, type Member, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { testWith } from "../support/needs.ts";
import { killAndWait } from "../support/processes.ts";
import { TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

/** A connection keeps a plan from the sixth call of a function on. */
const CALLS_UNTIL_KEPT = 6;

/** Rows that the table gets without the planner being told: autovacuum is off. */
const FILLED = 20_000;

/** More than all the starts of a round have to read. */
const FEW = 2_000;

async function startEach(member: Member, keys: readonly string[]): Promise<void> {
  for (const key of keys)
    expect((await member.json(["start", "--sync", "--run-key", key, "--", "true"])).status).toBe("SUCCEEDED");
}

/** Ends the agent, so that the server counts all that it has read; returns the rows read since the server's start. */
async function rowsRead(
  fleet: Fleet,
  member: Member,
): Promise<{ whole: number; byTime: number; all: number }> {
  await member.untilPublished();
  await killAndWait(await member.agent());
  await until("the server has ended the connections", async () => {
    const [row] = await fleet.sql<{ others: number }>(
      `select count(*)::int4 as others from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`,
    );
    return row!.others === 0;
  });
  const [tables] = await fleet.sql<{ whole: string }>(
    "select seq_tup_read as whole from pg_stat_user_tables where relname = 'job_records'",
  );
  const indexes = await fleet.sql<{ name: string; rows: string }>(
    "select indexrelname as name, idx_tup_read as rows from pg_stat_user_indexes where relname = 'job_records'",
  );
  const read = indexes.map(({ name, rows }) => ({ name, rows: Number(rows) }));
  return {
    whole: Number(tables!.whole),
    byTime: read.find(({ name }) => name === "by_time")!.rows,
    all: read.reduce((sum, { rows }) => sum + rows, 0),
  };
}

testWith(WITH_SERVER, "a claim reads no table whole, whenever its plan was made", async () => {
  await using fleet = await Fleet.create(await server());
  const member = await fleet.member("m1");
  const known = Array.from({ length: CALLS_UNTIL_KEPT }, (_, index) => `before${index}`);
  await startEach(member, ["first"]);
  // From now on the planner knows a table of one page, which it likes to read whole.
  await fleet.sql("vacuum analyze orchesjob.job_records");
  await startEach(member, known);
  await fleet.sql(
    `insert into orchesjob.job_records (job_id, run_key, fencing_token, attempt_no, status, holds_key, member_id,
        session_id, on_partition, change, job)
      select 'filled' || number, 'filled' || number, nextval('orchesjob.fencing_tokens'), 1, status, false, member_id,
        session_id, on_partition, change, job || jsonb_build_object('jobId', 'filled' || number, 'runKey', 'filled' || number)
      from (select * from orchesjob.job_records limit 1) one, generate_series(1, ${FILLED}) number`,
  );
  const [{ before } = { before: 0 }] = await fleet.sql<{ before: number }>(
    "select seq_tup_read::int4 as before from pg_stat_user_tables where relname = 'job_records'",
  );
  let last = { whole: before, byTime: 0, all: 0 };
  // The first agent has plans from before, the second one makes its own.
  for (const round of ["first", "second"]) {
    await startEach(member, ["before1", `filled${FILLED / 2}`, `${round}1`, `${round}2`]);
    const read = await rowsRead(fleet, member);
    expect(read.whole - last.whole).toBeLessThan(FEW);
    expect(read.byTime - last.byTime).toBeLessThan(FEW);
    expect(read.all - last.all).toBeLessThan(FEW);
    last = read;
  }
});
