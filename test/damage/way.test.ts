/**
 * The path to the state directory, from the root on, and the links in it: whoever can replace a part of it controls
 * orchesjob.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { judge } from "../support/doctor.ts";
import { testWith } from "../support/needs.ts";
import { Gate } from "../support/gate.ts";
import { BINARY, type Finished, isAlive, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { NOBODY, runAs, STRANGER } from "../support/users.ts";

setDefaultTimeout(TIMEOUT_MS);

const START = ["start", "--run-key", "k", "--sync", "--", "true"];

/** Debian's www-data, whose user and group have the same number and name. */
const WWW_DATA = 33;

const at = (home: string) => ({ env: { ORCHESJOB_HOME: home } });

/** Expects a refusal because of `part`, which the message names with its owner and mode. */
function expectRisk(result: Finished, part: string, why: RegExp, hint: RegExp): void {
  expect(result).toMatchObject({ code: 4, stdout: "" });
  const [, named, reason, advice] =
    /^orchesjob: (\S+), on the path to [^,]+, (.*), who could put something else there; (.*)\n$/.exec(
      result.stderr,
    ) ?? [];
  expect(named).toBe(part);
  expect(reason).toMatch(why);
  expect(advice).toMatch(hint);
}

/** Makes nested directories; the first has this owner, group and mode, and the others root's usual ones. */
function nest(box: Sandbox, names: string, uid: number, gid: number, mode: number): string {
  const path = join(box.directory, names);
  mkdirSync(path, { recursive: true, mode: 0o755 });
  const first = join(box.directory, names.split("/")[0]!);
  chownSync(first, uid, gid);
  chmodSync(first, mode);
  return path;
}

describe("below another user's directory", () => {
  for (const depth of ["anna", "anna/work", "anna/work/of/root"]) {
    testWith(["root"], `${depth}/jobs: root is refused, and nothing is made`, async () => {
      await using box = new Sandbox();
      const place = nest(box, depth, STRANGER, STRANGER, 0o755);
      const first = join(box.directory, "anna");
      const home = join(place, "jobs");
      const owner = [
        /^belongs to user 54321 \(mode 755\)$/,
        /sudo -u '#54321' env ORCHESJOB_HOME=\S+ orchesjob.*\/var\/lib\/orchesjob$/,
      ] as const;
      expectRisk(await box.run(START, at(home)), first, ...owner);
      expect(readdirSync(place)).toEqual([]);
      // Look-ups create nothing, and so only report that there are no jobs.
      expect((await box.run(["status", "--run-key", "k"], at(home))).code).toBe(3);
      mkdirSync(home, { mode: 0o700 });
      for (const words of [
        START,
        ["status", "--run-key", "k"],
        ["list"],
        ["run", ...START.slice(1, 3), "--", "true"],
      ]) {
        const result = await box.run(words, at(home));
        expectRisk({ ...result, code: words[0] === "run" ? 4 : result.code }, first, ...owner);
      }
      expect(readdirSync(home)).toEqual([]);
      const told = judge(await box.run(["doctor", "--fix"], at(home))).of("state_directory");
      expect(told).toMatchObject({ status: "problem", fixed: null });
      expect(told.message).toStartWith(
        `${first}, on the path to the state directory ${home}, belongs to user 54321`,
      );
    });
  }

  testWith(
    ["root"],
    "an ordinary user is refused as well, and can use a directory of their own",
    async () => {
      await using box = new Sandbox();
      chmodSync(box.directory, 0o755);
      const place = nest(box, "anna/jobs", STRANGER, STRANGER, 0o755);
      chownSync(place, NOBODY, NOBODY);
      const words = [
        /^belongs to user 54321/,
        /^set ORCHESJOB_HOME .*e\.g\. \$HOME\/\.local\/share\/orchesjob$/,
      ] as const;
      expectRisk(await runAs(NOBODY, box, START, at(place)), join(box.directory, "anna"), ...words);
      chownSync(join(box.directory, "anna"), NOBODY, NOBODY);
      expect(await runAs(NOBODY, box, START, at(place))).toMatchObject({ code: 0, stderr: "" });
    },
  );
});

describe("below a directory that others may write to", () => {
  test.each(["open", "open/one", "open/one/two"])(
    "anyone: %s/jobs is refused, until the directory is sticky",
    async (names) => {
      await using box = new Sandbox();
      const home = join(box.directory, names, "jobs");
      const first = join(box.directory, "open");
      mkdirSync(home, { recursive: true, mode: 0o700 });
      chmodSync(first, 0o777);
      expectRisk(
        await box.run(START, at(home)),
        first,
        /^is writable by anyone \(owner \S+, mode 777\)$/,
        /^run: chmod \+t /,
      );
      chmodSync(first, 0o1777);
      expect((await box.run(START, at(home))).code).toBe(0);
    },
  );

  testWith(
    ["unshare", "root"],
    "a Kubernetes volume of root's with mode 0777 is used, at any depth",
    async () => {
      await using box = new Sandbox();
      const volume = join(box.directory, "data");
      mkdirSync(volume);
      for (const below of ["jobs", "a/jobs", "a/b/jobs"]) {
        const words = `env ORCHESJOB_HOME=${volume}/${below} ${BINARY} ${START.join(" ")}`;
        const inside = (script: string) =>
          box.execute([
            "unshare",
            "--mount",
            "sh",
            "-c",
            `mount -t tmpfs -o mode=777 tmpfs ${volume} && ${script}`,
          ]);
        expectRisk(
          await inside(words),
          volume,
          /^is writable by anyone \(owner root, mode 777\)$/,
          /^run: chmod \+t /,
        );
        expect((await inside(`chmod +t ${volume} && ${words}`)).code).toBe(0);
      }
    },
  );

  // Debian's group mail has a user of that name, staff has no members; 54321 has no name, like the fsGroup of a
  // container.
  for (const [group, mode, stranger] of [
    [8, 0o2775, "mail"],
    [8, 0o3775, undefined],
    [50, 0o2775, undefined],
    [0, 0o775, undefined],
    [STRANGER, 0o2775, undefined],
  ] as const) {
    testWith(["root"], `group ${group}, mode ${mode.toString(8)}`, async () => {
      await using box = new Sandbox();
      const home = join(nest(box, "shared", 0, group, mode), "jobs");
      const result = await box.run(START, at(home));
      if (stranger === undefined) expect(result).toMatchObject({ code: 0, stderr: "" });
      else {
        const why = /^is writable by group mail, e\.g\. by mail \(owner root, mode 2775\)$/;
        expectRisk(result, join(box.directory, "shared"), why, /^run: chmod \+t /);
      }
    });
  }

  testWith(
    ["root"],
    "a user's own group without other members, under a umask of 002, is accepted",
    async () => {
      await using box = new Sandbox();
      chmodSync(box.directory, 0o755);
      const home = join(nest(box, "work", WWW_DATA, WWW_DATA, 0o775), "jobs");
      expect(await runAs(WWW_DATA, box, START, at(home))).toMatchObject({ code: 0, stderr: "" });
    },
  );

  testWith(
    ["root", "python3"],
    "a directory is refused if its access list lets another user write",
    async () => {
      await using box = new Sandbox();
      const place = nest(box, "listed", 0, 0, 0o755);
      const entries = [
        [1, 7, -1],
        [2, 7, STRANGER],
        [4, 5, -1],
        [16, 7, -1],
        [32, 5, -1],
      ];
      const list = `struct.pack('<I',2)+b''.join(struct.pack('<HHi',*e) for e in ${JSON.stringify(entries)})`;
      const set = `import os,struct; os.setxattr(${JSON.stringify(place)},'system.posix_acl_access',${list})`;
      const { code, stderr } = await box.execute(["python3", "-c", set]);
      // A file system without access lists has no such risk.
      if (code !== 0) return expect(stderr).toContain("not supported");
      const result = await box.run(START, at(join(place, "jobs")));
      expectRisk(result, place, /^is writable by those in its access list/, /^run: chmod \+t /);
    },
  );
});

describe("by symbolic links", () => {
  testWith(["root"], "a link of another user in a place like /tmp is refused", async () => {
    await using box = new Sandbox();
    const place = nest(box, "tmp", 0, 0, 0o1777);
    const target = join(box.directory, "target");
    mkdirSync(target, { mode: 0o700 });
    symlinkSync(target, join(place, "jobs"));
    lchownSync(join(place, "jobs"), STRANGER, STRANGER);
    const result = await box.run(START, at(join(place, "jobs")));
    // With fs.protected_symlinks the kernel does not even follow it; orchesjob checks before it follows.
    expectRisk(result, join(place, "jobs"), /^belongs to user 54321/, /ORCHESJOB_HOME/);
    expect(readdirSync(target)).toEqual([]);
  });

  testWith(["root"], "a link of ours that leads through another user's directory is refused", async () => {
    await using box = new Sandbox();
    const between = nest(box, "anna", STRANGER, STRANGER, 0o755);
    mkdirSync(join(box.directory, "target"), { mode: 0o700 });
    symlinkSync("../target", join(between, "on"));
    symlinkSync("anna/on", box.home);
    expectRisk(await box.run(START), between, /^belongs to user 54321/, /ORCHESJOB_HOME/);
    expect(readdirSync(join(box.directory, "target"))).toEqual([]);
  });

  test("many links of ours, relative, with dots and slashes, are followed as the kernel follows them", async () => {
    await using box = new Sandbox();
    mkdirSync(join(box.directory, "a/b/target"), { recursive: true, mode: 0o700 });
    symlinkSync("a//b/", join(box.directory, "first"));
    symlinkSync(`${box.directory}/./first/../b/target/`, join(box.directory, "a/second"));
    symlinkSync("a/second", box.home);
    expect((await box.json(START)).status).toBe("SUCCEEDED");
    expect(existsSync(join(box.directory, "a/b/target/orchesjob.db"))).toBe(true);
  });

  test("a cycle of links is reported", async () => {
    await using box = new Sandbox();
    symlinkSync("home", box.home);
    const { code, stdout, stderr } = await box.run(START);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/too many levels of symbolic links; set ORCHESJOB_HOME/i);
  });
});

testWith(
  ["root"],
  "in a user namespace, where outside users appear as nobody, a directory of ours is used",
  async () => {
    await using box = new Sandbox();
    chmodSync(box.directory, 0o755);
    const place = nest(box, "mine", NOBODY, NOBODY, 0o755);
    const inside = (words: string) =>
      box.execute([
        ...[
          "sh",
          "-c",
          `exec 3<"$0"; exec setpriv --reuid ${NOBODY} --regid ${NOBODY} --clear-groups unshare --user --map-root-user ${words}`,
        ],
        BINARY,
      ]);
    // Some machines forbid this.
    if ((await inside("true")).code !== 0) return;
    const result = await inside(`env ORCHESJOB_HOME=${place}/jobs /proc/self/fd/3 ${START.join(" ")}`);
    expect(result).toMatchObject({ code: 0, stderr: "" });
  },
);

describe("what is in the directory", () => {
  async function used(): Promise<Sandbox> {
    const box = new Sandbox();
    await box.json(START);
    await until("the worker ends", () => box.processes().length === 0);
    return box;
  }

  const LOOK = ["status", "--run-key", "k"];

  for (const [name, mode, above, fix] of [
    ["orchesjob.db", 0o666, 0o700, "chmod 600 HOME/orchesjob.db*"],
    ["orchesjob.db", 0o664, 0o755, "chmod 600 HOME/orchesjob.db*"],
    ["logs", 0o777, 0o700, "chmod 700 HOME/logs"],
    ["locks", 0o777, 0o700, "chmod 700 HOME/locks"],
    ["logs", 0o775, 0o711, "chmod 700 HOME/logs"],
  ] as const) {
    test(`${name} of mode ${mode.toString(8)} in a directory of ${above.toString(8)} is refused, and doctor --fix fixes it`, async () => {
      await using box = await used();
      chmodSync(join(box.home, name), mode);
      chmodSync(box.home, above);
      for (const words of [LOOK, START]) {
        const { code, stdout, stderr } = await box.run(words);
        expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
        expect(stderr).toContain(`${name} is writable by others (mode ${mode.toString(8)})`);
        expect(stderr).toEndWith(`; run: ${fix.replace("HOME", box.home)}\n`);
      }
      expect(judge(await box.run(["doctor"])).of("permissions").status).toBe("problem");
      expect(judge(await box.run(["doctor", "--fix"])).of("permissions")).toMatchObject({
        status: "ok",
        fixed: expect.stringContaining(name),
      });
      expect((await box.run(LOOK)).code).toBe(0);
    });
  }

  test("files that the group may write to are accepted in a directory that is closed", async () => {
    await using box = await used();
    chmodSync(join(box.home, "logs"), 0o775);
    chmodSync(join(box.home, "orchesjob.db"), 0o664);
    expect((await box.run(LOOK)).code).toBe(0);
  });

  test("the owner's links to another disk are used, as long as the path there is safe", async () => {
    await using box = await used();
    const disk = join(box.directory, "disk");
    mkdirSync(disk);
    for (const name of ["logs", "orchesjob.db"]) {
      const moved = name === "logs" ? [name] : readdirSync(box.home).filter((each) => each.startsWith(name));
      for (const each of moved) renameSync(join(box.home, each), join(disk, each));
      symlinkSync(join(disk, name), join(box.home, name));
      for (const words of [LOOK, START]) expect(await box.run(words)).toMatchObject({ code: 0, stderr: "" });
      chmodSync(disk, 0o777);
      const result = await box.run(LOOK);
      expectRisk(result, disk, /^is writable by anyone/, /^run: chmod \+t /);
      expect(result.stderr).toContain(`on the path to the target of ${box.home}/${name}`);
      const told = judge(await box.run(["doctor", "--fix"])).of("permissions");
      expect(told).toMatchObject({ status: "problem", fixed: null });
      chmodSync(disk, 0o755);
      const ends = join(disk, name);
      chmodSync(ends, name === "logs" ? 0o770 : 0o660);
      expect((await box.run(LOOK)).stderr).toContain("is writable by others");
      chmodSync(ends, name === "logs" ? 0o700 : 0o600);
    }
  });

  for (const [name, mode] of [
    ["logs", 0o1777],
    ["locks", 0o777],
    ["logs", 0o775],
  ] as const) {
    test(`${name} as a link to a directory of mode ${mode.toString(8)} is refused by that directory's name, without advice to change its mode`, async () => {
      await using box = await used();
      const shared = join(box.directory, "shared");
      mkdirSync(shared);
      renameSync(join(box.home, name), join(box.home, `${name}.away`));
      symlinkSync("../shared", join(box.home, name));
      chmodSync(shared, mode);
      const { code, stderr } = await box.run(LOOK);
      expect(code).toBe(4);
      expect(stderr).toBe(
        `orchesjob: ${box.home}/${name}, a link to ${shared}, is writable by others (mode ${mode.toString(8)}), who could change what jobs do and report; move orchesjob's files there to a directory of their own (mode 700), and point the link to it: ln -sfn DIRECTORY ${box.home}/${name}\n`,
      );
      const told = await box.run(["doctor", "--fix"]);
      expect(judge(told).of("permissions")).toMatchObject({ status: "problem", fixed: null });
      expect(told.stdout + told.stderr).not.toContain("chmod 700");
      expect(statSync(shared).mode & 0o7777).toBe(mode);
    });
  }

  test("a link to a database that others may write to is refused by that file's name", async () => {
    await using box = await used();
    const real = join(box.directory, "real.db");
    renameSync(join(box.home, "orchesjob.db"), real);
    symlinkSync(real, join(box.home, "orchesjob.db"));
    chmodSync(real, 0o666);
    expect((await box.run(LOOK)).stderr).toEndWith(`; run: chmod 600 ${real}\n`);
  });

  test("a state directory that links to a directory shared by all is refused by that directory's name", async () => {
    await using box = new Sandbox();
    const shared = join(box.directory, "shared");
    mkdirSync(shared);
    symlinkSync(shared, box.home);
    for (const [mode, hint] of [
      [0o1777, "set ORCHESJOB_HOME to a directory of its own"],
      [0o777, `run: chmod 700 ${shared}`],
    ] as const) {
      chmodSync(shared, mode);
      expect((await box.run(START)).stderr).toBe(
        `orchesjob: the state directory ${box.home}, a link to ${shared}, is writable by others (mode ${mode.toString(8)}), who could run commands in your name; ${hint}\n`,
      );
    }
  });

  testWith(["root"], "a folder of another user is refused, with the chown that fixes it", async () => {
    await using box = await used();
    for (const name of ["logs", "locks"]) {
      chownSync(join(box.home, name), STRANGER, STRANGER);
      const { code, stderr } = await box.run(START);
      expect(code).toBe(4);
      expect(stderr).toEndWith(`; run as root: chown root ${join(box.home, name)}\n`);
      chownSync(join(box.home, name), 0, 0);
      const theirs = join(box.directory, `their-${name}`);
      renameSync(join(box.home, name), theirs);
      symlinkSync(theirs, join(box.home, name));
      chownSync(theirs, STRANGER, STRANGER);
      const linked = await box.run(START);
      expect(linked.stderr).toContain(`${box.home}/${name}, a link to ${theirs}, belongs to user `);
      expect(linked.stderr).not.toContain("chown");
      rmSync(join(box.home, name));
      renameSync(theirs, join(box.home, name));
      chownSync(join(box.home, name), 0, 0);
    }
  });
});

test("if the path becomes unsafe while a job runs, its result is recorded all the same", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const place = join(box.directory, "place");
  const where = at(join(place, "jobs"));
  const job = await box.json(["start", "--run-key", "k", "--", ...gate.command], where);
  chmodSync(place, 0o777);
  gate.open();
  await until("the command ends", () => !isAlive(job.target_pid!));
  expectRisk(
    await box.run(["status", "--run-key", "k"], where),
    place,
    /^is writable by anyone/,
    /^run: chmod \+t /,
  );
  chmodSync(place, 0o755);
  expect(await box.json(["wait", "--run-key", "k"], where)).toMatchObject({ status: "SUCCEEDED" });
});
