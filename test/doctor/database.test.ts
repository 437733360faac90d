/**
 * doctor on a database that was broken on purpose: it reports the fault, changes not a byte, and continues with the
 * other checks.
 */
import { Database } from "bun:sqlite";
import { expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { edit, openDatabase } from "../support/database.ts";
import { complaintsOf, diagnose } from "../support/doctor.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { PYTHON_VERSIONS, unpackPython } from "../support/python-home.ts";
import { Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { snapshot } from "../support/snapshot.ts";

setDefaultTimeout(TIMEOUT_MS);

const pathOf = (box: Sandbox) => join(box.home, "orchesjob.db");

/** Runs doctor with and without --fix; neither may change the database. */
async function lookTwice(box: Sandbox) {
  const before = snapshot(box.home);
  const found = await diagnose(box);
  expect(snapshot(box.home)).toEqual(before);
  const fixed = await diagnose(box, ["--fix"]);
  expect(fixed.of("database")).toEqual(found.of("database"));
  expect(snapshot(box.home)["orchesjob.db"]).toBe(before["orchesjob.db"]!);
  return found;
}

/** A few jobs, all of them in the one database file. */
async function withHistory(): Promise<Sandbox> {
  const box = new Sandbox();
  for (const key of ["a", "b"]) await box.json(["start", "--run-key", key, "--sync", "--", "true"]);
  await until("the workers end", () => box.processes().length === 0);
  using database = openDatabase(box);
  database.run("pragma wal_checkpoint(truncate)");
  return box;
}

test("random bytes are reported", async () => {
  await using box = new Sandbox();
  mkdirSync(box.home, { mode: 0o700 });
  writeFileSync(pathOf(box), Buffer.alloc(20_000, "not a database "), { mode: 0o600 });
  const found = await lookTwice(box);
  expect(found.of("database")).toMatchObject({ status: "problem" });
  expect(found.of("database").message).toMatch(/orchesjob\.db is damaged \(/);
  expect(found.of("schema").message).toMatch(/^skipped/);
  expect(found.of("workers").message).toMatch(/^skipped/);
});

test("an overwritten page and a missing page are reported", async () => {
  await using box = await withHistory();
  const whole = readFileSync(pathOf(box));
  writeFileSync(pathOf(box), Buffer.from(whole).fill(0x5a, 4096));
  expect((await lookTwice(box)).of("database").message).toContain("is damaged");
  writeFileSync(pathOf(box), whole);
  truncateSync(pathOf(box), whole.length - 4096);
  expect((await lookTwice(box)).of("database").message).toContain("is damaged");
});

test("an index that does not match its table is reported, though no command notices", async () => {
  await using box = await withHistory();
  await box.json(["start", "--run-key", "unmistakable", "--sync", "--", "true"]);
  await until("the worker ends", () => box.processes().length === 0);
  const database = openDatabase(box);
  database.run("pragma wal_checkpoint(truncate)");
  const query = "select rootpage from sqlite_schema where name = 'jobs_attempts'";
  const { rootpage } = database.query<{ rootpage: number }, []>(query).get()!;
  database.close();
  // Puts another key into the index, while the table keeps the old one.
  const bytes = readFileSync(pathOf(box));
  const key = bytes.indexOf("unmistakable", (rootpage - 1) * 4096);
  expect(key).toBeLessThan(rootpage * 4096);
  writeFileSync(pathOf(box), Buffer.from(bytes).fill("unmistakably", key, key + 12));
  expect((await box.run(["list"])).code).toBe(0);
  const found = await lookTwice(box);
  expect(found.of("database")).toMatchObject({ status: "problem" });
  expect(found.of("database").message).toMatch(/is damaged: row \d missing from index jobs_attempts/);
  expect(found.of("workers").message).toBe("skipped: the database cannot be used");
  expect(found.of("workers").way_out).toBe("fix that first: its own check says how");
});

test("a newer schema is refused, and an older one is left as it is", async () => {
  await using box = await withHistory();
  edit(box, "pragma user_version = 999");
  const newer = await lookTwice(box);
  expect(newer.of("schema")).toMatchObject({ status: "problem" });
  expect(newer.of("schema").message).toMatch(/has schema 999, .* written by a newer version$/);
  edit(box, "pragma user_version = 1");
  const older = await diagnose(box, ["--fix"]);
  expect(complaintsOf(older)).toEqual([]);
  expect(older.of("schema").message).toMatch(/^schema 1; the next command upgrades it to \d/);
  using database = openDatabase(box);
  expect(database.query("pragma user_version").get()).toEqual({ user_version: 1 });
});

for (const [journal, version] of [
  ["delete", 0],
  ["wal", 0],
  ["wal", 1],
  ["wal", 7],
] as const) {
  test(`another program's database (journal mode ${journal}, schema ${version}) is reported`, async () => {
    await using box = new Sandbox();
    mkdirSync(box.home, { mode: 0o700 });
    const database = new Database(pathOf(box), { create: true });
    database.run(`pragma journal_mode = ${journal}`);
    database.run("create table photos (id integer primary key)");
    database.run(`pragma user_version = ${version}`);
    database.close();
    chmodSync(pathOf(box), 0o600);
    const found = await lookTwice(box);
    expect(found.of("database")).toMatchObject({ status: "problem" });
    expect(found.of("database").message).toContain("is not a database of orchesjob");
  });
}

for (const version of PYTHON_VERSIONS) {
  test(`doctor does not upgrade a database of the Python orchesjob ${version}`, async () => {
    await using box = new Sandbox();
    unpackPython(box, version);
    for (const name of ["", "/logs"]) chmodSync(box.home + name, 0o700);
    const found = await lookTwice(box);
    expect(found.of("schema")).toMatchObject({ status: "ok" });
    expect(found.of("schema").message).toMatch(/^of the Python orchesjob; the next command upgrades it/);
    expect(existsSync(`${pathOf(box)}.python`)).toBe(false);
  });
}

test("a directory where the database should be is reported", async () => {
  await using box = new Sandbox();
  mkdirSync(pathOf(box), { recursive: true, mode: 0o700 });
  chmodSync(box.home, 0o700);
  const found = await diagnose(box, ["--fix"]);
  expect(found.of("database")).toMatchObject({ status: "problem" });
  expect(found.of("database").message).toContain("is not a file");
  expect(statSync(pathOf(box)).isDirectory()).toBe(true);
});

test("a database that vanishes while its jobs run is reported", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  const away = join(box.directory, "away");
  renameSync(pathOf(box), away);
  const found = await diagnose(box);
  expect(found.of("database")).toMatchObject({ status: "problem" });
  expect(found.of("database").message).toContain(job.job_id);
  expect(existsSync(pathOf(box))).toBe(false);
  // Otherwise the worker would wait for a database.
  renameSync(away, pathOf(box));
});

test("--fix empties a write-ahead log that has grown large", async () => {
  await using box = await withHistory();
  // An open reader keeps SQLite from restarting the log.
  using reader = openDatabase(box);
  reader.run("begin");
  reader.query("select count(*) from jobs").get();
  using writer = openDatabase(box);
  const blob = "zeroblob(1048576)";
  writer.run("create table ballast (bytes blob)");
  for (let count = 0; count < 66; count++) writer.run(`insert into ballast values (${blob})`);
  writer.run("drop table ballast");
  expect((await diagnose(box)).of("write_ahead_log")).toMatchObject({
    status: "warning",
    message: expect.stringMatching(/^\d\d MiB not yet moved into the database file$/),
  });
  reader.run("commit");
  const fixed = await diagnose(box, ["--fix"]);
  expect(fixed.of("write_ahead_log")).toMatchObject({ status: "ok" });
  expect(fixed.of("write_ahead_log").fixed).toContain("moved");
  expect(statSync(`${pathOf(box)}-wal`).size).toBeLessThan(1_000_000);
  expect(complaintsOf(fixed)).toEqual([]);
});

test("--fix deletes the copy that an interrupted upgrade left, and keeps a finished one", async () => {
  await using box = await withHistory();
  writeFileSync(`${pathOf(box)}.python.unfinished`, "old", { mode: 0o600 });
  makePythonCopy(box);
  expect((await diagnose(box)).of("python_copy")).toMatchObject({ status: "warning" });
  expect((await diagnose(box, ["--fix"])).of("python_copy")).toMatchObject({ status: "ok" });
  expect(existsSync(`${pathOf(box)}.python.unfinished`)).toBe(false);
  expect(existsSync(`${pathOf(box)}.python`)).toBe(true);
});

/** The smallest file that is recognized by its table, in the mode in which SQLite would make side files. */
function makePythonCopy(box: Sandbox): void {
  const path = `${pathOf(box)}.python`;
  using database = new Database(path);
  database.run("pragma journal_mode = wal");
  database.run(
    "create table jobs (job_id, run_key, worker_pid, target_pid, command, status, exit_code, started_at)",
  );
  chmodSync(path, 0o600);
}

test("doctor recognizes an upgrade's copy, and only reads it", async () => {
  await using box = await withHistory();
  const copy = `${pathOf(box)}.python`;
  makePythonCopy(box);
  for (const suffix of ["-wal", "-shm"]) rmSync(copy + suffix, { force: true });
  const copies = () => readdirSync(box.home).filter((name) => name.includes(".python"));
  expect((await lookTwice(box)).of("python_copy").message).toContain("the next orchesjob clean deletes it");
  expect(copies()).toEqual(["orchesjob.db.python"]);
  for (const bytes of [Buffer.alloc(20_000, "garbage"), readFileSync(pathOf(box)), ""]) {
    writeFileSync(copy, bytes);
    expect((await lookTwice(box)).of("python_copy")).toMatchObject({
      status: "warning",
      message: `${copy} is not a database of the Python orchesjob, so it is of no use for going back`,
    });
  }
  rmSync(copy);
  expect((await box.execute(["mkfifo", "-m", "600", copy])).code).toBe(0);
  expect((await lookTwice(box)).of("python_copy").status).toBe("warning");
});

test("a missing database is reported as long as files of its jobs exist", async () => {
  await using box = await withHistory();
  rmSync(pathOf(box));
  const lost = await lookTwice(box);
  expect(lost.of("database")).toMatchObject({ status: "warning" });
  expect(lost.of("database").message).toBe(`there is none, but ${box.home}/logs has logs of jobs`);
  rmSync(join(box.home, "logs"), { recursive: true });
  expect((await lookTwice(box)).of("database").status).toBe("ok");
  makePythonCopy(box);
  expect((await lookTwice(box)).of("database")).toMatchObject({
    status: "warning",
    way_out: expect.stringContaining(`mv ${pathOf(box)}.python ${pathOf(box)}`),
  });
});

test("doctor does not block on a FIFO in place of the database", async () => {
  await using box = new Sandbox();
  mkdirSync(box.home, { mode: 0o700 });
  expect((await box.execute(["mkfifo", "-m", "600", pathOf(box)])).code).toBe(0);
  const found = await diagnose(box);
  expect(found.of("database")).toMatchObject({ status: "problem" });
  expect(found.of("database").message).toBe(`${pathOf(box)} is not a file`);
  expect(found.of("environment").status).toBe("ok");
});
