/**
 * doctor on directories and files that were broken on purpose: what --fix fixes, and that nothing changes without it.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { complaintsOf, diagnose, judge } from "../support/doctor.ts";
import { testWith } from "../support/needs.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { snapshot } from "../support/snapshot.ts";

setDefaultTimeout(TIMEOUT_MS);

/** A state directory with one finished job and no running process. */
async function used(): Promise<Sandbox & { job: JobAnswer }> {
  const box = new Sandbox();
  const job = await box.json(["start", "--run-key", "k", "--sync", "--", "echo", "hello"]);
  await until("the worker ends", () => box.processes().length === 0);
  return Object.assign(box, { job });
}

const modeOf = (path: string) => statSync(path).mode & 0o7777;

/** Runs doctor without --fix, which must change nothing. */
async function look(box: Sandbox) {
  const before = snapshot(box.directory);
  const diagnosis = await diagnose(box);
  expect(snapshot(box.directory)).toEqual(before);
  return diagnosis;
}

test("a healthy directory has no complaint, and nothing to fix", async () => {
  await using box = await used();
  expect(complaintsOf(await look(box))).toEqual([]);
  const fixed = await diagnose(box, ["--fix"]);
  expect(fixed.summary.fixed).toBe(0);
  expect(complaintsOf(fixed)).toEqual([]);
});

test("no directory at all: no complaint, and nothing is made without --fix", async () => {
  await using box = new Sandbox();
  expect(complaintsOf(await look(box))).toEqual([]);
  expect(existsSync(box.home)).toBe(false);
  const fixed = await diagnose(box, ["--fix"]);
  expect(fixed.of("state_directory").fixed).toBe(`created ${box.home}`);
  expect(modeOf(box.home)).toBe(0o700);
  expect(readdirSync(box.home).sort()).toEqual(["locks", "logs"]);
});

test("the table has a line for each check, and the hint below it", async () => {
  await using box = await used();
  chmodSync(join(box.home, "orchesjob.db"), 0o644);
  const { code, stdout, stderr } = await box.run(["doctor", "--format", "table"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(
    /^permissions +warning +wrong permissions: .*orchesjob\.db \(0644\)\n +way out: chmod /m,
  );
  expect(stdout).toMatch(/^environment +ok +/m);
  const fixed = await box.run(["doctor", "--fix", "--format", "table"]);
  expect(fixed.stdout).toMatch(/^permissions +ok .*\n +fixed: set modes: 0600 \S+orchesjob\.db\n/m);
});

describe("modes", () => {
  for (const mode of [0o770, 0o777]) {
    test(`a directory that others may write to (${mode.toString(8)}) is a problem, and --fix closes it`, async () => {
      await using box = await used();
      chmodSync(box.home, mode);
      const found = await look(box);
      expect(found.of("state_directory")).toMatchObject({
        status: "problem",
        way_out: `run: chmod 700 ${box.home}`,
      });
      const fixed = await diagnose(box, ["--fix"]);
      expect(fixed.of("state_directory")).toMatchObject({ status: "ok", fixed: `chmod 700 ${box.home}` });
      expect(modeOf(box.home)).toBe(0o700);
      expect((await box.run(["status", "--run-key", "k"])).code).toBe(0);
    });
  }

  test("files and folders that others may read are a warning, and --fix closes all of them", async () => {
    await using box = await used();
    const files = ["orchesjob.db", "orchesjob.db-wal"].map((name) => join(box.home, name));
    const logs = [box.job.stdout_file, box.job.stderr_file];
    const folders = [box.home, join(box.home, "logs"), join(box.home, "locks")];
    for (const path of [...files, ...logs]) chmodSync(path, 0o644);
    for (const path of folders) chmodSync(path, 0o755);
    const found = (await look(box)).of("permissions");
    expect(found.status).toBe("warning");
    expect(found.message).toContain(`${box.home} (0755)`);
    const fixed = (await diagnose(box, ["--fix"])).of("permissions");
    expect(fixed.status).toBe("ok");
    expect(fixed.fixed).toContain(`0700 ${box.home}`);
    expect([...files, ...logs].map(modeOf)).toEqual([0o600, 0o600, 0o600, 0o600]);
    expect(folders.map(modeOf)).toEqual([0o700, 0o700, 0o700]);
  });

  test("a directory that is not ours alone keeps its mode, and the hint is a different one", async () => {
    await using box = new Sandbox();
    mkdirSync(join(box.home, "logs"), { recursive: true });
    chmodSync(join(box.home, "logs"), 0o755);
    writeFileSync(join(box.home, "notes.txt"), "somebody's");
    for (const [mode, check] of [
      [0o777, "state_directory"],
      [0o1777, "state_directory"],
      [0o755, "permissions"],
    ] as const) {
      chmodSync(box.home, mode);
      const found = await diagnose(box, ["--fix"]);
      expect(found.of(check)).toMatchObject({ way_out: "set ORCHESJOB_HOME to a directory of its own" });
      expect(found.summary.fixed).toBe(0);
      expect(modeOf(box.home)).toBe(mode);
      expect(modeOf(join(box.home, "logs"))).toBe(0o755);
      expect(readdirSync(box.home).sort()).toEqual(["logs", "notes.txt"]);
      if (check === "permissions") continue;
      const { code, stderr } = await box.run(["start", "--run-key", "k", "--", "true"]);
      expect(code).toBe(4);
      expect(stderr).toEndWith("; set ORCHESJOB_HOME to a directory of its own\n");
    }
  });

  test("the target of a link keeps its mode, and so does a file with a second name", async () => {
    await using box = await used();
    const elsewhere = join(box.directory, "elsewhere");
    renameSync(join(box.home, "logs"), elsewhere);
    symlinkSync(elsewhere, join(box.home, "logs"));
    chmodSync(elsewhere, 0o755);
    chmodSync(box.job.stdout_file, 0o644);
    linkSync(box.job.stdout_file, join(box.directory, "second"));
    const alone = (await diagnose(box, ["--fix"])).of("permissions");
    expect(alone).toMatchObject({ status: "warning", fixed: null });
    expect(alone.way_out).toBe(
      `move orchesjob's files there to a directory of their own (mode 700), and point the link to it: ln -sfn DIRECTORY ${box.home}/logs`,
    );
    chmodSync(elsewhere, 0o700);
    const named = (await diagnose(box, ["--fix"])).of("permissions");
    expect(named.way_out).toStartWith(`${box.job.stdout_file} has a second name`);
    chmodSync(elsewhere, 0o755);
    chmodSync(box.job.stderr_file, 0o644);
    const repaired = (await diagnose(box, ["--fix"])).of("permissions");
    expect(repaired).toMatchObject({
      status: "warning",
      fixed: `set modes: 0600 ${box.job.stderr_file}`,
    });
    expect([elsewhere, box.job.stdout_file, box.job.stderr_file].map(modeOf)).toEqual([0o755, 0o644, 0o600]);
  });

  test("an unknown file in logs/ keeps its mode", async () => {
    await using box = await used();
    const path = join(box.home, "logs", "README");
    writeFileSync(path, "");
    chmodSync(path, 0o644);
    expect((await diagnose(box, ["--fix"])).of("permissions")).toMatchObject({ status: "ok", fixed: null });
    expect(modeOf(path)).toBe(0o644);
  });

  testWith(
    ["root"],
    "a side file of root's that locks the owner out is a problem, with the chown that fixes it",
    async () => {
      await using box = await used();
      chownSync(join(box.home, "orchesjob.db-wal"), 65534, 65534);
      const found = (await look(box)).of("permissions");
      expect(found).toMatchObject({ status: "problem" });
      expect(found.way_out).toMatch(/^as root: chown root .*orchesjob\.db-wal$/);
    },
  );
});

test("a missing folder is a warning, and --fix makes it", async () => {
  await using box = await used();
  rmSync(join(box.home, "logs"), { recursive: true });
  rmSync(join(box.home, "locks"), { recursive: true });
  const found = await look(box);
  expect(found.of("folders")).toMatchObject({
    status: "warning",
    way_out: "no action needed: the next start creates them",
  });
  expect(found.of("job_logs").status).toBe("warning");
  expect((await diagnose(box, ["--fix"])).of("folders")).toMatchObject({ status: "ok" });
  expect(["logs", "locks"].map((name) => modeOf(join(box.home, name)))).toEqual([0o700, 0o700]);
});

test("a file where a folder should be is a problem that --fix leaves alone", async () => {
  await using box = await used();
  rmSync(join(box.home, "locks"), { recursive: true });
  writeFileSync(join(box.home, "locks"), "somebody's");
  expect((await diagnose(box, ["--fix"])).of("folders")).toMatchObject({ status: "problem", fixed: null });
  expect((await look(box)).of("folders").message).toContain(`${box.home}/locks: not a directory`);
});

test("a file where the directory should be, and a link to nothing, are problems", async () => {
  await using box = new Sandbox();
  writeFileSync(box.home, "somebody's");
  expect((await look(box)).of("state_directory").message).toContain("is not a directory");
  rmSync(box.home);
  symlinkSync(join(box.directory, "nowhere"), box.home);
  const fixed = await diagnose(box, ["--fix"]);
  expect(fixed.of("state_directory")).toMatchObject({ fixed: null });
  expect(fixed.of("state_directory").message).toContain("symbolic link to nothing");
});

test("a place that anyone may write to is a problem that --fix leaves alone", async () => {
  await using box = new Sandbox();
  const place = join(box.directory, "open");
  mkdirSync(join(place, "home"), { recursive: true, mode: 0o700 });
  chmodSync(place, 0o777);
  const env = { ORCHESJOB_HOME: join(place, "home") };
  const found = judge(await box.run(["doctor", "--fix"], { env }));
  expect(found.of("state_directory")).toMatchObject({ status: "problem", fixed: null });
  expect(found.of("state_directory").message).toMatch(/\/open, on the path to .* is writable by anyone/);
  expect(found.of("state_directory").way_out).toStartWith(`run: chmod +t ${place}, or set ORCHESJOB_HOME`);
  expect(modeOf(place)).toBe(0o777);
});

testWith(
  ["root"],
  "doctor does not look into another user's directory, and makes nothing there",
  async () => {
    await using box = await used();
    rmSync(join(box.home, "locks"), { recursive: true });
    chownSync(box.home, 65534, 65534);
    const found = await look(box);
    expect(found.of("state_directory").way_out).toMatch(/^run: sudo -u \S+ env ORCHESJOB_HOME=\S+ orchesjob/);
    expect(found.of("database")).toMatchObject({ status: "warning" });
    expect(found.of("database").message).toMatch(/^skipped: the state directory cannot be used/);
    expect(found.summary.problem).toBe(1);
    const before = readdirSync(box.home);
    expect((await diagnose(box, ["--fix"])).summary.fixed).toBe(0);
    expect(readdirSync(box.home)).toEqual(before);
  },
);

testWith(["root"], "a directory that may not be made, or entered, is a problem of one line", async () => {
  await using box = await used();
  chmodSync(box.directory, 0o755);
  const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", BINARY, "doctor", "--fix"];
  const barred = judge(await box.execute(asNobody, { cwd: "/" }));
  expect(barred.of("state_directory").status).toBe("problem");
  const env = { ORCHESJOB_HOME: join(box.directory, "new", "home") };
  const unmade = judge(await box.execute(asNobody, { cwd: "/", env }));
  expect(unmade.of("state_directory")).toMatchObject({ status: "problem" });
  expect(unmade.of("state_directory").message).toContain("does not exist, and you may not create it in");
  expect(existsSync(join(box.directory, "new"))).toBe(false);
});

describe("a file system of its own", () => {
  /** Runs an sh script with a tmpfs mounted as the state directory, in a private mount namespace. */
  const mounted = (box: Sandbox, options: string, script: string) => {
    mkdirSync(box.home, { mode: 0o700, recursive: true });
    const mount = `mount -t tmpfs -o mode=700,${options} tmpfs ${box.home}`;
    return box.execute(["unshare", "--mount", "sh", "-c", `${mount} && ${script}`]);
  };

  testWith(["unshare", "root"], "that loses its content at a reboot is a warning", async () => {
    await using box = new Sandbox();
    const found = judge(await mounted(box, "size=64m", `${BINARY} doctor`));
    expect(found.of("file_system")).toMatchObject({ status: "warning" });
    expect(found.of("file_system").message).toMatch(/^tmpfs: /);
    expect(found.of("free_space")).toMatchObject({
      status: "ok",
      message: expect.stringMatching(/^64 MiB of/),
    });
  });

  testWith(
    ["unshare", "root"],
    "that is full is a problem, also before the database can be read",
    async () => {
      await using box = new Sandbox();
      const fill = `${BINARY} start --run-key k --sync -- true >/dev/null; cat /dev/zero >${box.home}/logs/fill 2>/dev/null`;
      const found = judge(await mounted(box, "size=1m", `${fill}; ${BINARY} doctor`));
      expect(found.of("free_space")).toMatchObject({ status: "problem" });
      expect(found.of("free_space").message).toMatch(/^0 B of 1\.0 MiB free/);
    },
  );

  testWith(["unshare", "root"], "that has no room for a file is a problem", async () => {
    await using box = new Sandbox();
    const fill = `i=0; while : 2>/dev/null >${box.home}/$i; do i=$((i+1)); done`;
    const found = judge(
      await mounted(box, "size=64m,nr_inodes=50", `(${fill}) 2>/dev/null; ${BINARY} doctor`),
    );
    expect(found.of("free_space")).toMatchObject({ status: "problem" });
    expect(found.of("file_system")).toMatchObject({ status: "problem" });
    expect(found.of("file_system").message).toContain("no space left");
  });

  testWith(["unshare", "root"], "that is read-only is a problem", async () => {
    await using box = new Sandbox();
    const readOnly = `mount -o remount,ro ${box.home}; ${BINARY} doctor --fix`;
    const found = judge(await mounted(box, "size=64m", readOnly));
    expect(found.of("file_system")).toMatchObject({ status: "problem" });
    expect(found.of("file_system").message).toContain("read-only file system");
    expect(found.of("folders")).toMatchObject({ status: "warning", fixed: null });
    expect(found.of("folders").message).toContain("it could not be fixed: ");
  });
});

test("variables that Bun would read, and a relative state directory, are warnings", async () => {
  await using box = await used();
  const options = judge(await box.run(["doctor"], { env: { BUN_OPTIONS: "--smol" } }));
  expect(options.of("environment")).toMatchObject({ status: "warning" });
  expect(options.of("environment").message).toMatch(/^BUN_OPTIONS: set, /);
  const relative = judge(await box.run(["doctor"], { env: { ORCHESJOB_HOME: "home" } }));
  expect(relative.of("environment").message).toContain('ORCHESJOB_HOME is "home"');
  expect(relative.of("state_directory").status).toBe("ok");
});
