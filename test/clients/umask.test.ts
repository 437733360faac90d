/**
 * Clients of the Python program make the state directory first, under a umask of 002, and put their own database into
 * it.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { judge } from "../support/doctor.ts";
import { testWith } from "../support/needs.ts";
import { PYTHON_VERSIONS, unpackPython } from "../support/python-home.ts";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";
import { runAs, STRANGER } from "../support/users.ts";

setDefaultTimeout(TIMEOUT_MS);

const START = ["start", "--run-key", "k", "--sync", "--", "true"];
/** Debian's www-data, whose user and group have the same number and name. */
const WWW_DATA = 33;

/** What such a client makes: the directory, and its own database in it. */
function makeByClient(box: Sandbox, mode = 0o775): void {
  mkdirSync(box.home);
  writeFileSync(join(box.home, "reservations.db"), "a client's");
  chmodSync(join(box.home, "reservations.db"), 0o664);
  chmodSync(box.home, mode);
}

const modeOf = (path: string) => statSync(path).mode & 0o7777;

function giveTo(box: Sandbox, uid: number, gid = uid): void {
  const entries = readdirSync(box.home, { recursive: true, encoding: "utf8" });
  for (const path of [box.home, ...entries.map((name) => join(box.home, name))]) chownSync(path, uid, gid);
}

test("the directory is refused with the chmod that fixes it, and doctor --fix runs it", async () => {
  await using box = new Sandbox();
  makeByClient(box);
  const refused = await box.run(START);
  expect(refused).toMatchObject({ code: 4, stdout: "" });
  expect(refused.stderr).toEndWith(`; run: chmod 700 ${box.home}\n`);
  const told = judge(await box.run(["doctor"])).of("state_directory");
  expect(told).toMatchObject({ status: "problem", way_out: `run: chmod 700 ${box.home}`, fixed: null });
  const fixed = judge(await box.run(["doctor", "--fix"]));
  expect(fixed.of("state_directory")).toMatchObject({ status: "ok", fixed: `chmod 700 ${box.home}` });
  expect(fixed.summary.status).not.toBe("problem");
  expect(modeOf(box.home)).toBe(0o700);
  expect((await box.json(START)).status).toBe("SUCCEEDED");
  expect(readdirSync(box.home)).toContain("reservations.db");
});

testWith(["root"], "the same holds for a user who has a group of their own", async () => {
  for (const user of [WWW_DATA, STRANGER]) {
    await using box = new Sandbox();
    chmodSync(box.directory, 0o755);
    makeByClient(box);
    giveTo(box, user);
    expect((await runAs(user, box, START)).stderr).toEndWith(`; run: chmod 700 ${box.home}\n`);
    const fixed = judge(await runAs(user, box, ["doctor", "--fix"]));
    expect(fixed.of("state_directory")).toMatchObject({ status: "ok", fixed: `chmod 700 ${box.home}` });
    expect(await runAs(user, box, START)).toMatchObject({ code: 0, stderr: "" });
  }
});

testWith(
  ["root"],
  "a directory whose group has other members, or that others may write or have written, is refused and not fixed",
  async () => {
    for (const make of [
      // Debian's group mail has the user mail.
      (box: Sandbox) => chownSync(box.home, 0, 8),
      (box: Sandbox) => chmodSync(box.home, 0o777),
      (box: Sandbox) => chownSync(join(box.home, "reservations.db"), STRANGER, STRANGER),
    ]) {
      await using box = new Sandbox();
      makeByClient(box);
      make(box);
      const mode = modeOf(box.home);
      expect((await box.run(START)).stderr).toEndWith("; set ORCHESJOB_HOME to a directory of its own\n");
      expect(judge(await box.run(["doctor", "--fix"])).of("state_directory")).toMatchObject({
        status: "problem",
        fixed: null,
      });
      expect(modeOf(box.home)).toBe(mode);
    }
  },
);

for (const version of PYTHON_VERSIONS) {
  test(`a directory of Python ${version} under that umask: one chmod, or doctor --fix, and everything is there`, async () => {
    for (const by of ["chmod", "doctor"]) {
      await using box = new Sandbox();
      const { jobs } = unpackPython(box, version);
      writeFileSync(join(box.home, "reservations.db"), "a client's");
      const entries = readdirSync(box.home, { recursive: true, withFileTypes: true });
      for (const entry of entries)
        chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o775 : 0o664);
      chmodSync(box.home, 0o775);
      expect((await box.run(START)).stderr).toEndWith(`; run: chmod 700 ${box.home}\n`);
      if (by === "chmod") chmodSync(box.home, 0o700);
      else {
        const fixed = judge(await box.run(["doctor", "--fix"]));
        expect(fixed.of("state_directory").fixed).toBe(`chmod 700 ${box.home}`);
        expect(fixed.of("permissions")).toMatchObject({
          status: "ok",
          fixed: expect.stringContaining("0600"),
        });
        expect(modeOf(join(box.home, "logs"))).toBe(0o700);
      }
      expect((await box.json(START)).status).toBe("SUCCEEDED");
      const listed = await box.json<{ job_id: string }[]>(["list", "--limit", "1000"]);
      const ids = listed.map((job) => job.job_id);
      for (const { job_id } of jobs) expect(ids).toContain(job_id);
      expect(existsSync(join(box.home, "reservations.db"))).toBe(true);
    }
  });
}
