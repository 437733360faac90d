/**
 * The units that `orchesjob systemd` writes, in a real systemd: they are correct, they work, and they are restricted
 * as documented.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout } from "bun:test";
import { readDocument } from "../support/console.ts";
import { readRecipeFile } from "../support/recipes.ts";
import { has, testWith } from "../support/needs.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { PROGRAM, SystemdMachine, TESTER } from "../support/systemd.ts";

setDefaultTimeout(TIMEOUT_MS);

const DIRECTORY = "/etc/systemd/system";
const NAMES = ["orchesjob@.service", "orchesjob@.timer", "orchesjob-clean.service", "orchesjob-clean.timer"];

let box: Sandbox;
let machine: SystemdMachine;

if (has("systemd")) {
  beforeAll(async () => {
    box = new Sandbox();
    machine = await SystemdMachine.boot(box);
    await machine.must([PROGRAM, "systemd", "--output", DIRECTORY]);
    writeJob("greet", 'echo "hello, $WHO"\nexit ${CODE:-0}');
    writeJob("sleep", "echo ready\nexec sleep 600");
    writeJob("timed", "echo came by time");
    machine.writeFile("/etc/orchesjob/greet.env", "WHO=world\n");
    dropIn("orchesjob@timed.timer", "[Timer]\nOnCalendar=\nOnActiveSec=0\nAccuracySec=1ms\n");
    dropIn("orchesjob@flaky.service", "[Service]\nRestart=on-failure\nRestartSec=0\n");
    writeJob("flaky", "exec test $ORCHESJOB_ATTEMPT = 2");
    writeJob("strict", "touch /usr/not-for-me 2>/dev/null && exit 9\ntouch /tmp/mine && echo fine");
    const { stdout } = await machine.run([
      "grep",
      "-hoP",
      "^#   \\K[A-Z]\\w+=.*",
      `${DIRECTORY}/orchesjob@.service`,
    ]);
    dropIn("orchesjob@strict.service", `[Service]\n${stdout}`);
    await machine.must(["systemctl", "daemon-reload"]);
  }, 60_000);
  afterAll(async () => {
    await machine[Symbol.asyncDispose]();
    await box[Symbol.asyncDispose]();
  }, 60_000);
}

function writeJob(name: string, script: string): void {
  machine.writeFile(`/etc/orchesjob/jobs/${name}`, `#!/bin/sh\n${script}\n`, 0o755);
}

function dropIn(unit: string, text: string): void {
  machine.writeFile(`${DIRECTORY}/${unit}.d/override.conf`, text);
}

async function newest(runKey: string): Promise<JobAnswer | undefined> {
  const { code, stdout } = await machine.run([PROGRAM, "status", "--run-key", runKey]);
  return code === 0 ? (JSON.parse(stdout) as JobAnswer) : undefined;
}

async function finished(runKey: string): Promise<JobAnswer> {
  return until(`${runKey} has ended`, async () => {
    const job = await newest(runKey);
    return job?.finished_at != null && job;
  });
}

async function isInactive(unit: string): Promise<boolean> {
  const state = await machine.property(unit, "ActiveState");
  return state === "inactive" || state === "failed";
}

testWith(["systemd"], "systemd-analyze verify has no complaint", async () => {
  const paths = NAMES.map((name) => `${DIRECTORY}/${name}`);
  expect(await machine.run(["systemd-analyze", "verify", ...paths])).toEqual({
    code: 0,
    signal: null,
    stdout: "",
    stderr: "",
  });
});

testWith(
  ["systemd"],
  "an instance runs its file, with its environment; nothing is killed at its end",
  async () => {
    for (const attempt of [1, 2, 3]) {
      await machine.must(["systemctl", "start", "orchesjob@greet"]);
      await until("it has ended", () => isInactive("orchesjob@greet"));
      expect(await newest("greet")).toMatchObject({
        status: "SUCCEEDED",
        attempt_no: attempt,
        command: ["/etc/orchesjob/jobs/greet"],
      });
    }
    const journal = await machine.journal("orchesjob@greet");
    expect(journal.split("hello, world\n")).toHaveLength(4);
    expect(journal).not.toContain("Killing process");
  },
);

testWith(["systemd"], "an instance is stopped, and started again", async () => {
  await machine.must(["systemctl", "start", "orchesjob@sleep"]);
  await until("it runs", async () => (await newest("sleep"))?.target_pid != null);
  await machine.must(["systemctl", "restart", "orchesjob@sleep"]);
  await until("it runs again", async () => {
    const job = await newest("sleep");
    return job?.attempt_no === 2 && job.target_pid !== null;
  });
  await machine.must(["systemctl", "stop", "orchesjob@sleep"]);
  const history = await machine.json<JobAnswer[]>(["status", "--run-key", "sleep", "--all"]);
  expect(history.map(({ status, signal }) => `${status} ${signal}`)).toEqual([
    "FAILED SIGTERM",
    "FAILED SIGTERM",
  ]);
  expect(await machine.property("orchesjob@sleep", "Result")).toBe("success");
});

testWith(["systemd"], "an instance that fails is tried again, if a drop-in says so", async () => {
  await machine.must(["systemctl", "start", "orchesjob@flaky"]);
  await until("the second try", async () => (await newest("flaky"))?.attempt_no === 2);
  expect(await finished("flaky")).toMatchObject({ status: "SUCCEEDED" });
});

testWith(["systemd"], "an instance without a file fails and says why", async () => {
  await machine.must(["systemctl", "start", "orchesjob@absent"]);
  await until("it has failed", () => isInactive("orchesjob@absent"));
  expect(await machine.property("orchesjob@absent", "ExecMainStatus")).toBe("127");
  expect(await machine.journal("orchesjob@absent")).toContain('no such file: "/etc/orchesjob/jobs/absent"');
});

testWith(["systemd"], "the timer starts its instance, every day or when a drop-in says", async () => {
  await machine.must(["systemctl", "enable", "--now", "orchesjob@timed.timer", "orchesjob@greet.timer"]);
  expect(await finished("timed")).toMatchObject({ status: "SUCCEEDED" });
  const daily = await machine.property("orchesjob@greet.timer", "TimersCalendar");
  expect(daily).toContain("OnCalendar=*-*-* 00:00:00");
});

testWith(
  ["systemd", "python3"],
  "clean deletes what is older than 30 days, and spares a LOST job of which a process lives",
  async () => {
    await machine.json(["start", "--run-key", "old", "--sync", "--", "true"]);
    // A process of another user, in its own session, without the output: only root's privilege shows that it is the
    // job's.
    const other = `setpriv --reuid=${TESTER.uid} --clear-groups setsid sleep 600 >/dev/null 2>&1`;
    const script = `${other} & echo started; exec sleep 600`;
    const lost = await machine.json(["start", "--run-key", "lost", "--", "sh", "-c", script]);
    await until("its orphan is there", async () => {
      const { code } = await machine.run(["pgrep", "-u", String(TESTER.uid), "-x", "sleep"]);
      return code === 0;
    });
    await machine.must(["kill", "-9", String(lost.worker_pid), String(lost.target_pid)]);
    await until("it is lost", async () => (await newest("lost"))?.status === "LOST");
    const database = "/var/lib/orchesjob/orchesjob.db";
    const age =
      "update job_records set finished_at = finished_at - 31 * 86400000000 where run_key in ('old', 'lost')";
    const update = `import sqlite3; d = sqlite3.connect("${database}"); d.execute("${age}"); d.commit()`;
    await machine.must(["python3", "-c", update]);
    await machine.must(["systemctl", "start", "orchesjob-clean"]);
    expect(await machine.journal("orchesjob-clean")).toContain('"deleted": 1,');
    expect(await newest("old")).toBeUndefined();
    expect(await newest("lost")).toMatchObject({ status: "LOST" });
    expect(await newest("greet")).toBeDefined();
    await machine.must([PROGRAM, "cancel", "--run-key", "lost"]);
  },
);

testWith(["systemd"], "clean runs once a day, and does nothing if there are no jobs yet", async () => {
  await machine.must(["systemctl", "enable", "--now", "orchesjob-clean.timer"]);
  const next = await machine.property("orchesjob-clean.timer", "NextElapseUSecRealtime");
  expect(next).not.toBe("");
  const condition = await machine.must(["systemctl", "cat", "orchesjob-clean.service"]);
  expect(condition).toContain("\nConditionPathExists=/var/lib/orchesjob/orchesjob.db\n");
});

testWith(
  ["systemd"],
  "a job works with all the optional restrictions that the service file names",
  async () => {
    await machine.must(["systemctl", "start", "orchesjob@strict"]);
    expect(await finished("strict")).toMatchObject({ status: "SUCCEEDED", exit_code: 0 });
    expect(await machine.property("orchesjob@strict", "CapabilityBoundingSet")).toBe("cap_sys_ptrace");
  },
);

testWith(["systemd"], "the recipe works as it stands", async () => {
  const recipe = readRecipeFile("systemd-units.sh");
  machine.writeFile("/root/backup.sh", "#!/bin/sh\necho copied\n", 0o755);
  const answer = await machine.must(["sh", "-ec", recipe], { cwd: "/root" });
  expect(answer).toContain('"run_key": "backup"');
  expect(await finished("backup")).toMatchObject({ status: "SUCCEEDED" });
  await until("its output is there", async () =>
    (await machine.journal("orchesjob@backup")).includes("copied\n"),
  );
  expect(await machine.must(["systemctl", "list-timers", "--plain", "--no-legend"])).toContain(
    "orchesjob@backup.timer",
  );
});

testWith(["systemd"], "their exposure level is the one that docs/systemd.md states", async () => {
  // Every version of systemd calculates it in its own way.
  const version = /^systemd (\d+)/.exec(await machine.must(["systemctl", "--version"]))?.[1];
  const said = /systemd (\d+) gives them ([\d.]+) \(clean\), ([\d.]+) \(a job\) and ([\d.]+) \(/.exec(
    readDocument("docs/systemd.md"),
  );
  expect(said).not.toBeNull();
  if (version !== said![1]) return;
  const units = ["orchesjob-clean", "orchesjob@greet", "orchesjob@strict"];
  const levels = units.map(async (unit) => {
    const { stdout } = await machine.run(["systemd-analyze", "security", "--no-pager", `${unit}.service`]);
    return /exposure level for \S+ ([\d.]+)/.exec(stdout)?.[1] ?? "";
  });
  expect(said!.slice(2)).toEqual(await Promise.all(levels));
});

testWith(["systemd"], "a user's own units work in that user's service manager", async () => {
  await machine.startUserManager();
  const asUser = { asTester: true };
  const units = `${TESTER.home}/.config/systemd/user`;
  const job = `${TESTER.home}/.config/orchesjob/jobs/mine`;
  await machine.must([PROGRAM, "systemd", "--user", "--output", units], asUser);
  await machine.must(["sh", "-c", `mkdir -p ${job}; rmdir ${job}; cp /bin/pwd ${job}`], asUser);
  await machine.must(["systemctl", "--user", "daemon-reload"], asUser);
  await machine.must(["systemctl", "--user", "start", "orchesjob@mine"], asUser);
  const home = { ...asUser, env: { ORCHESJOB_HOME: `${TESTER.home}/.local/share/orchesjob` } };
  await until("it has ended", async () => {
    const { stdout } = await machine.run([PROGRAM, "logs", "--run-key", "mine"], home);
    return stdout === `${TESTER.home}\n`;
  });
  await machine.must(["systemctl", "--user", "start", "orchesjob-clean"], asUser);
  const verify = ["systemd-analyze", "--user", "verify", ...NAMES.map((name) => `${units}/${name}`)];
  expect(await machine.run(verify, asUser)).toMatchObject({ code: 0, stdout: "", stderr: "" });
});

testWith(["systemd"], "the drop-ins of docs/systemd.md do what it says", async () => {
  const blocks = [
    ...readDocument("docs/systemd.md").matchAll(/^```ini\n# systemctl edit (\S+)\n([\s\S]*?)^```/gm),
  ];
  expect(blocks.length).toBeGreaterThan(3);
  const texts = new Map<string, string>();
  for (const [, unit, text] of blocks) texts.set(unit!, (texts.get(unit!) ?? "") + text);
  for (const [unit, text] of texts) dropIn(unit, text);
  writeJob("backup", "id -un");
  await machine.must(["systemctl", "daemon-reload"]);
  const verify = ["systemd-analyze", "verify", ...texts.keys()];
  expect(await machine.run(verify)).toMatchObject({ code: 0, stdout: "", stderr: "" });

  await machine.must(["systemctl", "start", "orchesjob@backup"]);
  const home = { ORCHESJOB_HOME: "/var/lib/orchesjob-backup" };
  const asOwner = ["setpriv", "--reuid=backup", "--regid=backup", "--clear-groups", PROGRAM];
  await until("it has run as the other user", async () => {
    const { stdout } = await machine.run([...asOwner, "logs", "--run-key", "backup"], { env: home });
    return stdout === "backup\n";
  });
  expect(await machine.property("orchesjob@backup", "StartLimitBurst")).toBe("3");
  expect(await machine.property("orchesjob@backup", "RestartUSec")).toBe("1min");
  expect(await machine.property("orchesjob@backup.timer", "TimersCalendar")).toMatch(
    /^\{ OnCalendar=Mon\.\.Fri \*-\*-\* 06:30:00 ;[^{]*$/,
  );
  const command = await machine.property("orchesjob-clean", "ExecStart");
  expect(command.match(/argv\[\]=[^;]*/g)).toEqual([
    "argv[]=/usr/local/bin/orchesjob clean --older-than 90d --keep 1 ",
  ]);
});
