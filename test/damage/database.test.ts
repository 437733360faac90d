/** A damaged or foreign database: a clear error with a hint, exit 1 or 4, and not a byte of it changed. */
import { Database } from "bun:sqlite";
import { expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { openDatabase } from "../support/database.ts";
import { testWith } from "../support/needs.ts";
import { findProcesses } from "../support/processes.ts";
import { BINARY, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const COMMANDS = [
  ["status", "--run-key", "k"],
  ["status", "--run-key", "k", "--all"],
  ["start", "--run-key", "k", "--", "true"],
  ["logs", "--run-key", "k"],
  ["clean", "--before", "2100-01-01"],
];

const pathOf = (box: Sandbox) => join(box.home, "orchesjob.db");

/** One line of orchesjob's own, not the output of a crash. */
const SENTENCE = /^orchesjob: [^\n]+\n$/;
const TRACE = /\bat [\w./]+[:(]|SQLiteError|Error:|node:|bunfs/;

/** Every command refuses; the database is unchanged; nothing runs. */
async function expectRefused(box: Sandbox, hint: RegExp, codes: readonly number[] = [1, 4]): Promise<void> {
  const before = readFileSync(pathOf(box));
  for (const command of COMMANDS) {
    const result = await box.run(command);
    expect(codes).toContain(result.code!);
    expect(result.stdout).toBe("");
    expect(result.stderr).toMatch(SENTENCE);
    expect(result.stderr).not.toMatch(TRACE);
    expect(result.stderr).toMatch(hint);
  }
  expect(readFileSync(pathOf(box)).equals(before)).toBe(true);
  await until("no worker is left", () => findProcesses(box, "_worker").length === 0);
}

/** A state directory with a few jobs, all of them in the one database file. */
async function withHistory(): Promise<Sandbox> {
  const box = new Sandbox();
  for (const word of ["one", "two"])
    await box.json(["start", "--run-key", "k", "--sync", "--", "echo", word]);
  await until("the workers end", () => findProcesses(box, "_worker").length === 0);
  const database = openDatabase(box);
  await until("all is in one file", () => {
    const result = database.query<{ busy: number }, []>("pragma wal_checkpoint(truncate)").get();
    return result?.busy === 0;
  });
  database.close();
  return box;
}

function homeOf(box: Sandbox): void {
  mkdirSync(box.home, { mode: 0o700 });
}

test("a database of random bytes", async () => {
  await using box = new Sandbox();
  homeOf(box);
  writeFileSync(pathOf(box), Buffer.alloc(20_000, "not a database "));
  await expectRefused(box, /damaged .*nothing was changed.* Move it away/, [4]);
});

for (const keep of [60, 512, 4096, 10_000]) {
  test(`a database truncated to ${keep} bytes`, async () => {
    await using box = await withHistory();
    truncateSync(pathOf(box), keep);
    await expectRefused(box, /damaged .*nothing was changed.* Move it away/, [4]);
  });
}

test("a database with a page overwritten", async () => {
  await using box = await withHistory();
  const bytes = readFileSync(pathOf(box));
  bytes.fill(0x5a, 4096);
  writeFileSync(pathOf(box), bytes);
  await expectRefused(box, /damaged .*nothing was changed.* Move it away/, [4]);
});

test("a directory where the database should be", async () => {
  await using box = new Sandbox();
  homeOf(box);
  mkdirSync(pathOf(box));
  for (const command of COMMANDS) {
    const result = await box.run(command);
    expect(result).toMatchObject({ code: 4, stdout: "" });
    expect(result.stderr).toMatch(/^orchesjob: .*orchesjob\.db is not a file; move it away/);
  }
});

test("a newer schema", async () => {
  await using box = await withHistory();
  const database = new Database(pathOf(box));
  database.run("pragma user_version = 999");
  database.close();
  await expectRefused(box, /has schema 999, .* newer version; use that version/, [4]);
});

const FOREIGN: Readonly<Record<string, string>> = {
  "another program's database": "create table photos (id integer primary key)",
  "another program's database with a table jobs": "create table jobs (id integer primary key, name text)",
  "another program's database with a schema number of its own":
    "create table photos (id integer primary key); pragma user_version = 7",
  "another program's database with our schema number":
    "create table jobs (id integer primary key); pragma user_version = 1",
};

for (const [name, sql] of Object.entries(FOREIGN)) {
  for (const journal of ["delete", "wal"]) {
    test(`${name} (journal mode ${journal})`, async () => {
      await using box = new Sandbox();
      homeOf(box);
      const database = new Database(pathOf(box), { create: true });
      database.run(`pragma journal_mode = ${journal}`);
      for (const statement of sql.split("; ")) database.run(statement);
      database.close();
      await expectRefused(box, /is not a database of orchesjob.*; move it away, or set ORCHESJOB_HOME/, [4]);
      // orchesjob makes no copy of another program's database.
      expect(statSync(pathOf(box)).isFile()).toBe(true);
      expect(() => statSync(`${pathOf(box)}.python`)).toThrow();
    });
  }
}

test("an empty database file is filled, as if it were missing", async () => {
  await using box = new Sandbox();
  homeOf(box);
  writeFileSync(pathOf(box), "", { mode: 0o600 });
  expect((await box.run(["status", "--run-key", "k"])).code).toBe(3);
  expect((await box.json(["start", "--run-key", "k", "--sync", "--", "true"])).status).toBe("SUCCEEDED");
});

testWith(
  ["root"],
  "an ordinary user's start on a read-only database is refused, and nothing is written",
  async () => {
    await using box = await withHistory();
    chmodSync(box.directory, 0o755);
    chmodSync(pathOf(box), 0o400);
    for (const path of [box.home, pathOf(box), join(box.home, "logs"), join(box.home, "locks")])
      chownSync(path, 65534, 65534);
    for (const side of ["-wal", "-shm"]) rmSync(pathOf(box) + side, { force: true });
    const before = readFileSync(pathOf(box));
    const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const marker = join(box.home, "ran");
    const start = await box.execute([...asNobody, BINARY, "start", "--run-key", "k", "--", "touch", marker], {
      cwd: "/",
    });
    expect(start).toMatchObject({ code: 1, stdout: "" });
    expect(start.stderr).toMatch(
      /^orchesjob: you may not write .*\.db \(owner nobody, mode 400\); run: chmod 600 [^\n]*\.db\n$/,
    );
    const status = await box.execute([...asNobody, BINARY, "status", "--run-key", "k"], { cwd: "/" });
    if (status.code !== 0) expect(status.stderr).toMatch(SENTENCE);
    expect(readFileSync(pathOf(box)).equals(before)).toBe(true);
    await until("no worker is left", () => box.processes().length === 0);
    expect(() => statSync(marker)).toThrow();
  },
);

testWith(["root"], "a database of another owner is refused for root, with the command to use", async () => {
  await using box = await withHistory();
  chownSync(pathOf(box), 65534, 65534);
  await expectRefused(box, /belongs to user \S+, .* run: sudo -u \S+ env ORCHESJOB_HOME=\S+ orchesjob/, [4]);
  expect(statSync(pathOf(box)).uid).toBe(65534);
});
