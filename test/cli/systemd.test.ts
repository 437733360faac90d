/**
 * `systemd` writes units, and never overwrites one that somebody has changed. test/systemd/units.test.ts checks that
 * the units work.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { BINARY, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const NAMES = ["orchesjob-clean.service", "orchesjob-clean.timer", "orchesjob@.service", "orchesjob@.timer"];

interface Answer {
  readonly written: readonly string[];
  readonly unchanged: readonly string[];
}

const PROGRAM = ["--program", "/usr/local/bin/orchesjob"];
const PLACED = ["systemd", "--output", "a/b/c", ...PROGRAM];

test("the units are written with the program's path, readable for all, into a directory that is made", async () => {
  await using box = new Sandbox();
  const directory = join(box.directory, "etc/units");
  const result = await box.run(["systemd", "--output", "etc/units/"], {
    env: { ORCHESJOB_HOME: "/proc/none" },
  });
  expect(result).toMatchObject({ code: 0, stderr: "" });
  const answer = JSON.parse(result.stdout) as Answer;
  expect([...answer.written].sort()).toEqual(NAMES.map((name) => join(directory, name)));
  expect(answer.unchanged).toEqual([]);
  expect(readdirSync(directory).sort()).toEqual(NAMES);
  for (const name of NAMES) {
    expect(statSync(join(directory, name)).mode & 0o777).toBe(0o644);
    const text = readFileSync(join(directory, name), "utf8");
    if (name.endsWith(".service")) expect(text).toContain(`\nExecStart=${BINARY} `);
    expect(text).not.toMatch(/undefined|null|\$\{/);
  }
});

test("a second time changes nothing; if a unit was changed, nothing is overwritten and no other unit is written", async () => {
  await using box = new Sandbox();
  const words = ["systemd", "--output", box.directory, ...PROGRAM];
  await box.json<Answer>(words);
  const again = await box.json<Answer>(words);
  expect(again).toMatchObject({ written: [], unchanged: { length: 4 } });

  const changed = join(box.directory, "orchesjob@.timer");
  const mine = `${readFileSync(changed, "utf8")}# mine\n`;
  writeFileSync(changed, mine);
  const other = await box.run([...words.slice(0, 3), "--program", "/opt/orchesjob"]);
  expect(other).toMatchObject({ code: 4, stdout: "" });
  expect(other.stderr).toContain(`${changed} `);
  expect(other.stderr).toContain("--force");
  expect(readFileSync(changed, "utf8")).toBe(mine);
  expect(readFileSync(join(box.directory, "orchesjob@.service"), "utf8")).not.toContain("/opt/orchesjob");

  const forced = await box.json<Answer>([...words, "--force"]);
  expect(forced).toMatchObject({ written: [changed], unchanged: { length: 3 } });
  expect(readFileSync(changed, "utf8")).not.toContain("# mine");
});

test("without --force a masked unit stays masked, and what it points to stays as well", async () => {
  await using box = new Sandbox();
  const target = join(box.directory, "target");
  writeFileSync(target, "");
  mkdirSync(join(box.directory, "units"));
  symlinkSync(target, join(box.directory, "units/orchesjob@.timer"));
  const words = ["systemd", "--output", "units", ...PROGRAM];
  expect((await box.run(words)).code).toBe(4);
  await box.json(["systemd", "--output", "units", ...PROGRAM, "--force"]);
  expect(readFileSync(target, "utf8")).toBe("");
});

test("what cannot be done is explained in a sentence", async () => {
  await using box = new Sandbox();
  writeFileSync(join(box.directory, "file"), "");
  const into = async (...words: string[]) => box.run(["systemd", ...words]);
  expect(await into("--output", "file/units", ...PROGRAM)).toMatchObject({
    code: 1,
    stderr: `orchesjob: cannot read ${box.directory}/file/units/orchesjob@.service: not a directory\n`,
  });
  expect(await into()).toMatchObject({
    code: 2,
    stderr: "orchesjob: --output DIR is required: orchesjob systemd --output DIR\n",
  });
  expect((await into("--output", "")).code).toBe(2);
  for (const bad of ["orchesjob", "/opt/my tools/orchesjob", "/opt/100%/orchesjob", "/opt/$HOME/orchesjob"])
    expect((await into("--output", "units", "--program", bad)).code).toBe(2);
  if (process.getuid?.() !== 0) {
    mkdirSync(join(box.directory, "locked"), { mode: 0o555 });
    expect(await into("--output", "locked", ...PROGRAM)).toMatchObject({ code: 1 });
    chmodSync(join(box.directory, "locked"), 0o755);
  }
});

test("a user's units have that user's own state directory and jobs", async () => {
  await using box = new Sandbox();
  await box.json(["systemd", "--user", "--output", "units", ...PROGRAM]);
  const texts = NAMES.map((name) => readFileSync(join(box.directory, "units", name), "utf8")).join("\n");
  expect(texts).toContain(" -- %E/orchesjob/jobs/%i\n");
  expect(texts).toContain("\nEnvironment=ORCHESJOB_HOME=%h/.local/share/orchesjob\n");
  expect(texts).not.toMatch(/\/var\/lib|\/etc\/|systemctl (?!--user)/);
});

test.each([
  ["022", "755"],
  ["027", "750"],
  ["077", "700"],
])("directories for units follow the caller's umask: %s", async (umask, mode) => {
  await using box = new Sandbox();
  const command = `umask ${umask} && exec "$@"`;
  expect(await box.execute(["sh", "-c", command, "sh", BINARY, ...PLACED])).toMatchObject({
    code: 0,
    stderr: "",
  });
  const modeOf = (name: string) => (statSync(join(box.directory, name)).mode & 0o777).toString(8);
  expect(["a", "a/b", "a/b/c"].map(modeOf)).toEqual([mode, mode, mode]);
  expect(modeOf("a/b/c/orchesjob@.service")).toBe("644");
});

test("a directory with the name of a unit is reported with its path, and nothing is written", async () => {
  await using box = new Sandbox();
  mkdirSync(join(box.directory, "a/b/c/orchesjob@.timer"), { recursive: true });
  for (const words of [PLACED, [...PLACED, "--force"]])
    expect(await box.run(words)).toMatchObject({
      code: 1,
      stdout: "",
      stderr: `orchesjob: ${box.directory}/a/b/c/orchesjob@.timer is a directory; nothing was changed. Move it away\n`,
    });
  expect(readdirSync(join(box.directory, "a/b/c"))).toEqual(["orchesjob@.timer"]);
});
