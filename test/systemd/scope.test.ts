/**
 * A job outlives what started it: units that end, sessions that are closed. In a real systemd, which all tests here
 * share; each has its own units, run keys and users.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout } from "bun:test";
import type { HookedJob } from "../support/hooks.ts";
import { has, testWith } from "../support/needs.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { PROGRAM, SystemdMachine, TESTER } from "../support/systemd.ts";

setDefaultTimeout(TIMEOUT_MS);

const TEST_TIMEOUT_MS = 60_000;

let box: Sandbox;
let machine: SystemdMachine;

beforeAll(async () => {
  if (!has("systemd")) return;
  box = new Sandbox();
  machine = await SystemdMachine.boot(box, ["memory"]);
}, TEST_TIMEOUT_MS);

afterAll(async () => {
  if (!has("systemd")) return;
  await machine[Symbol.asyncDispose]();
  await box[Symbol.asyncDispose]();
});

function inSystemd(name: string, body: () => Promise<void>): void {
  testWith(["systemd"], name, body, TEST_TIMEOUT_MS);
}

/** The service's ExecStart lines, each a call of orchesjob. */
function service(type: string, calls: readonly string[], settings: readonly string[] = []): string {
  const lines = calls.map((call) => `ExecStart=${PROGRAM} ${call}`);
  return ["[Service]", `Type=${type}`, ...lines, ...settings, ""].join("\n");
}

function job(key: string): Promise<JobAnswer> {
  return machine.json(["status", "--run-key", key]);
}

/** Expects the newest job of the key to run; returns its unit. */
async function runningUnit(key: string): Promise<string | null> {
  const { status, unit, worker_pid, target_pid } = await job(key);
  expect(status).toBe("RUNNING");
  for (const pid of [worker_pid, target_pid]) await machine.must(["test", "-e", `/proc/${pid}`]);
  return unit;
}

function cancel(...keys: readonly string[]): Promise<unknown> {
  return Promise.all(keys.map((key) => machine.json(["cancel", "--run-key", key])));
}

/** The control group of a process. */
async function groupOf(pid: number | null): Promise<string> {
  return (await machine.must(["grep", "^0::", `/proc/${pid}/cgroup`])).trim().slice("0::".length);
}

function isActive(unit: string): Promise<string> {
  return machine.run(["systemctl", "is-active", unit]).then(({ stdout }) => stdout.trim());
}

describe("an asynchronous start", () => {
  inSystemd("outlives a oneshot unit, in a scope that ends with the job", async () => {
    await machine.units({ "one.service": service("oneshot", ["start --run-key one -- sleep 600"]) });
    await machine.must(["systemctl", "start", "one.service"]);
    expect(await isActive("one.service")).toBe("inactive");
    const { job_id, unit, worker_pid, target_pid } = await job("one");
    expect(unit).toBe(`orchesjob-${job_id}.scope`);
    expect(await runningUnit("one")).toBe(unit);
    for (const pid of [worker_pid, target_pid]) expect(await groupOf(pid)).toBe(`/system.slice/${unit}`);
    const answer = JSON.parse(await machine.journal("one.service", "orchesjob")) as JobAnswer;
    expect(answer).toMatchObject({ status: "RUNNING", unit, warnings: [] });
    expect(await machine.property(unit!, "Description")).toBe("orchesjob: one");

    expect(await machine.json(["cancel", "--run-key", "one"])).toMatchObject({
      status: "CANCELLED",
      unit,
      survivors: [],
    });
    await until("the scope is gone", async () => (await isActive(unit!)) === "inactive");
    const left = await machine.must(["find", "/run/systemd", "-name", `${unit}*`]);
    expect(left).toBe("");
  });

  inSystemd(
    "outlives stop, restart and every KillMode of the unit that made it, as a rerun does",
    async () => {
      const held = (key: string, mode: string) =>
        [
          "[Service]",
          "Type=exec",
          `KillMode=${mode}`,
          `ExecStart=/bin/sh -c '${PROGRAM} start --run-key ${key} -- sleep 600; exec sleep 600'`,
          "",
        ].join("\n");
      await machine.units({
        "group.service": held("group", "control-group"),
        "mixed.service": held("mixed", "mixed"),
        "again.service": service("oneshot", ["rerun --run-key again"]),
      });
      const later = "test $ORCHESJOB_ATTEMPT = 1 || exec sleep 600";
      await machine.json(["start", "--run-key", "again", "--sync", "--", "sh", "-c", later]);
      await machine.must(["systemctl", "start", "group.service", "mixed.service"]);
      const jobs = await until("both run", async () => {
        const found = await machine.json<JobAnswer[]>(["status", "--running"]);
        return found.length === 2 && found.every((each) => each.target_pid !== null) && found;
      });
      await machine.must(["systemctl", "restart", "group.service", "mixed.service"]);
      await machine.must(["systemctl", "stop", "group.service", "mixed.service"]);
      for (const { run_key, job_id } of jobs) {
        expect((await job(run_key)).job_id).toBe(job_id);
        expect(await runningUnit(run_key)).toBe(`orchesjob-${job_id}.scope`);
      }
      await cancel("group", "mixed");
      await machine.must(["systemctl", "start", "again.service"]);
      expect(await runningUnit("again")).toStartWith("orchesjob-");
      await cancel("again");
    },
  );

  inSystemd("knows what its processes in the background have used, too", async () => {
    // Nobody waits for the process in the background: only the scope counts it.
    const busy =
      "for (;;) { const { user, system } = process.cpuUsage(); if (user + system > 500_000) break; } require('node:fs').writeFileSync(process.argv[1], '')";
    const script = `"$0" -e "$1" "$2" & while ! test -e "$2"; do sleep 0.05; done`;
    const words = ["sh", "-c", script, process.execPath, busy, "/run/busy-is-over"];
    const scoped = ["start", "--run-key", "busy", "--scope", "always", "--sync", "--", ...words];
    const used = await machine.json<JobAnswer & { readonly cpu_seconds: number }>(scoped);
    expect(used.unit).toBe(`orchesjob-${used.job_id}.scope`);
    expect(used.cpu_seconds).toBeGreaterThanOrEqual(0.5);
    expect(used.cpu_seconds).toBeLessThan(60);
  });

  inSystemd("ends with the unit if no scope is wanted", async () => {
    await machine.units({
      "never.service": service("oneshot", ["start --run-key never --scope never -- sleep 600"]),
    });
    await machine.must(["systemctl", "start", "never.service"]);
    expect(await machine.json(["wait", "--run-key", "never"])).toMatchObject({
      status: "FAILED",
      signal: "SIGTERM",
      unit: null,
    });
  });

  inSystemd("writes its result before the state directory's file system is unmounted", async () => {
    await machine.must(["mkdir", "-p", "-m", "700", "/root/disk", "/srv/jobs"]);
    await machine.units({
      "srv-jobs.mount": "[Mount]\nWhat=/root/disk\nWhere=/srv/jobs\nOptions=bind\n",
    });
    await machine.must(["systemctl", "start", "srv-jobs.mount"]);
    const slow = `trap "trap '' TERM; sleep 0.3; exit 3" TERM; echo ready; while :; do sleep 0.01; done`;
    const there = { env: { ORCHESJOB_HOME: "/srv/jobs" } };
    const { unit } = await machine.json(
      ["start", "--run-key", "disk", "--scope", "always", "--", "sh", "-c", slow],
      there,
    );
    await until(
      "the trap is set",
      async () => (await machine.must([PROGRAM, "logs", "--run-key", "disk"], there)) === "ready\n",
    );
    // As at a shutdown: stops everything concerned in one transaction.
    await machine.units({ "end.target": `[Unit]\nConflicts=srv-jobs.mount ${unit}\n` });
    await machine.must(["systemctl", "start", "end.target"]);
    await until("both are stopped", async () => {
      const states = await Promise.all(["srv-jobs.mount", unit!].map(isActive));
      return states.every((state) => state === "inactive" || state === "failed");
    });
    expect((await machine.run(["mountpoint", "-q", "/srv/jobs"])).code).not.toBe(0);
    expect(
      await machine.json(["status", "--run-key", "disk"], { env: { ORCHESJOB_HOME: "/root/disk" } }),
    ).toMatchObject({ status: "FAILED", exit_code: 3 });
  });

  inSystemd("by root within a user's service manager gets a scope of the system manager", async () => {
    await machine.startUserManager();
    const group = `user.slice/user-${TESTER.uid}.slice/user@${TESTER.uid}.service/app.slice/terminal.scope`;
    const enter = `cd /sys/fs/cgroup; [ -e cgroup.procs ] || cd unified; mkdir -p ${group}; echo $$ > ${group}/cgroup.procs`;
    const script = `${enter}; "$@"; exit $?`;
    const start = [PROGRAM, "start", "--run-key", "sudo", "--", "sleep", "600"];
    await machine.must(["sh", "-c", script, "sh", ...start]);
    const { unit, worker_pid } = await job("sudo");
    expect(await groupOf(worker_pid)).toBe(`/system.slice/${unit}`);
    await cancel("sudo");
  });

  inSystemd("records the signal when its scope is stopped", async () => {
    const { unit } = await machine.json([
      ...["start", "--run-key", "stopped", "--scope", "always", "--", "sleep", "600"],
    ]);
    await machine.must(["systemctl", "stop", unit!]);
    expect(await job("stopped")).toMatchObject({ status: "FAILED", signal: "SIGTERM", unit });
  });
});

describe("a caller that waits", () => {
  inSystemd("stays in its unit, whose stop ends the job; or not, with --scope always", async () => {
    await machine.units({
      "sync.service": service("exec", ["start --run-key sync --sync -- sleep 600"]),
      "run.service": service("exec", ["run --run-key run -- sleep 600"]),
      "apart.service": service("exec", ["start --run-key apart --sync --scope always -- sleep 600"]),
      "inside.service": service("exec", ["run --run-key inside --property MemoryMax=1G -- sleep 600"]),
    });
    const units = ["sync.service", "run.service", "apart.service", "inside.service"];
    await machine.must(["systemctl", "start", ...units]);
    for (const key of ["sync", "run", "apart", "inside"])
      await until(`${key} runs`, async () => {
        const found = await machine.run([PROGRAM, "status", "--run-key", key]);
        return found.code === 0 && (JSON.parse(found.stdout) as JobAnswer).target_pid !== null;
      });
    expect(await groupOf((await job("run")).worker_pid)).toBe("/system.slice/run.service");
    await machine.must(["systemctl", "stop", ...units]);
    for (const key of ["sync", "run"])
      expect(await machine.json(["wait", "--run-key", key])).toMatchObject({
        status: "FAILED",
        signal: "SIGTERM",
        unit: null,
      });
    // run stands for the command in its unit, wherever the command lives; start only waits.
    expect(await machine.json(["wait", "--run-key", "inside"])).toMatchObject({
      status: "FAILED",
      signal: "SIGTERM",
      unit: expect.stringMatching(/^orchesjob-/),
    });
    expect(await runningUnit("apart")).toStartWith("orchesjob-");
    await cancel("apart");
  });
});

describe("properties", () => {
  inSystemd("apply to the command, and again in a rerun, until others are given", async () => {
    const show = `cat /proc/self/cgroup; sleep 600`;
    const limited = await machine.json([
      ...["start", "--run-key", "limited", "--property", "MemoryMax=200M", "--property=Slice=batch.slice"],
      ...["--property", `Documentation=man:sleep(1)`, "--", "sh", "-c", show],
    ]);
    const { unit, properties } = limited;
    expect(properties).toEqual(["MemoryMax=200M", "Slice=batch.slice", "Documentation=man:sleep(1)"]);
    expect(await machine.property(unit!, "MemoryMax")).toBe(String(200 * 1024 * 1024));
    expect(await machine.property(unit!, "OOMPolicy")).toBe("continue");
    expect(await machine.must([PROGRAM, "logs", "--run-key", "limited"])).toContain(
      `0::/batch.slice/${unit}\n`,
    );
    await cancel("limited");

    const again = await machine.json(["rerun", "--run-key", "limited"]);
    expect(again).toMatchObject({ properties, warnings: [] });
    expect(await machine.property(again.unit!, "MemoryMax")).toBe(String(200 * 1024 * 1024));
    await cancel("limited");
    const other = await machine.json(["rerun", "--run-key", "limited", "--property=MemoryMax=1G"]);
    expect(other.properties).toEqual(["MemoryMax=1G"]);
    expect(await groupOf(other.target_pid)).toBe(`/system.slice/${other.unit}`);
    await cancel("limited");
    const bare = await machine.json(["rerun", "--run-key", "limited", "--scope", "never"]);
    expect(bare).toMatchObject({ properties: [], unit: null });
    await cancel("limited");
  });

  inSystemd("that systemd does not accept are refused before anything runs", async () => {
    const refused: readonly (readonly [property: string, code: number, words: RegExp])[] = [
      ["MemryMax=64M", 2, /Unknown assignment: MemryMax=64M/],
      ["MemoryMax=64Q", 2, /Failed to parse MemoryMax=64Q/],
      ["LimitNOFILE=3", 2, /Unknown assignment: LimitNOFILE=3/],
      ["Slice=no/slice", 2, /slice/i],
      // Too small even for the scope's first process.
      ["MemoryMax=100K", 2, /is a limit too small/],
    ];
    const results = await Promise.all(
      refused.map(([property], index) =>
        machine.run([
          ...[PROGRAM, "start", "--run-key", `refused-${index}`, "--property", property],
          ...["--", "touch", `/root/refused-${index}`],
        ]),
      ),
    );
    for (const [index, { code, stdout, stderr }] of results.entries()) {
      const [property, expected, words] = refused[index]!;
      expect({ property, code, stdout }).toEqual({ property, code: expected, stdout: "" });
      expect(stderr).toMatch(/^orchesjob: cannot create a scope for the job: [^\n]*; nothing was started\n$/);
      expect(stderr).toMatch(words);
      expect((await machine.run([PROGRAM, "status", "--run-key", `refused-${index}`])).code).toBe(3);
    }
    await until(
      "their workers are gone",
      async () => (await machine.run(["pgrep", "-f", "_worker"])).code === 1,
    );
    expect((await machine.run(["ls", "/root"])).stdout).not.toContain("refused");
    expect(await machine.must(["ls", "/var/lib/orchesjob/locks"])).toBe("");
  });

  inSystemd("for all jobs come from a drop-in", async () => {
    const file = "/etc/systemd/system/orchesjob-.scope.d/all.conf";
    machine.writeFile(file, "[Scope]\nMemoryMax=300M\n");
    await machine.must(["systemctl", "daemon-reload"]);
    const { unit } = await machine.json([
      ...["start", "--run-key", "all", "--scope", "always", "--", "sleep", "600"],
    ]);
    expect(await machine.property(unit!, "MemoryMax")).toBe(String(300 * 1024 * 1024));
    await cancel("all");
    await machine.must(["rm", file]);
    await machine.must(["systemctl", "daemon-reload"]);
  });

  inSystemd("limits that nothing would enforce are refused", async () => {
    await machine.startUserManager();
    const home = { ORCHESJOB_HOME: `${TESTER.home}/limits` };
    // A user's manager gets no io controller.
    const result = await machine.run(
      [PROGRAM, "start", "--run-key", "io", "--property", "IOWeight=50", "--", "sleep", "600"],
      { asTester: true, env: home },
    );
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toContain("IOWeight=50 would have no effect: the kernel's io controller");
  });
});

describe("memory", () => {
  const HOG = `python3 -c "x = bytearray(300 << 20)"`;

  const HITS = [
    ["the command itself", HOG.replace("python3", "exec python3"), 137, { signal: "SIGKILL" }],
    ["a process of a command that ends by itself", `${HOG}; exit 7`, 7, { exit_code: 7, signal: null }],
  ] as const;
  for (const [whom, script, code, fields] of HITS) {
    testWith(
      ["systemd", "python3"],
      `a limit that has killed ${whom} is in the job's error`,
      async () => {
        const key = `memory-${code}`;
        const limited = ["run", "--run-key", key, "--property", "MemoryMax=64M"];
        const result = await machine.run([PROGRAM, ...limited, "--", "sh", "-c", script]);
        expect(result.code).toBe(code);
        const words = "out of memory (MemoryMax=64M): the kernel killed a process of the job";
        expect(result.stderr).toEndWith(`: ${words}\n`);
        const expected = { status: "FAILED", error: words, failure: "out_of_memory", ...fields };
        expect(await job(key)).toMatchObject(expected);
      },
      TEST_TIMEOUT_MS,
    );
  }

  testWith(
    ["systemd", "python3"],
    "a command that survives the loss of a child has succeeded",
    async () => {
      const script = `${HOG}; true`;
      const limited = ["run", "--run-key", "bears", "--property", "MemoryMax=64M", "--", "sh", "-c", script];
      expect((await machine.run([PROGRAM, ...limited])).code).toBe(0);
      expect(await job("bears")).toMatchObject({ status: "SUCCEEDED", error: null, failure: null });
    },
    TEST_TIMEOUT_MS,
  );

  inSystemd(
    "the worker has oom_score_adj -900, and the command and the hook have that of their caller",
    async () => {
      await machine.units({
        "score.service": service(
          "oneshot",
          [
            `start --run-key score --on-exit "cat /proc/self/oom_score_adj" -- sh -c "cat /proc/self/oom_score_adj; sleep 600"`,
          ],
          ["OOMScoreAdjust=123"],
        ),
      });
      await machine.must(["systemctl", "start", "score.service"]);
      const { worker_pid } = await job("score");
      expect(await machine.must([PROGRAM, "logs", "--run-key", "score"])).toBe("123\n");
      // Lowering it takes a right that a machine may lack (CAP_SYS_RESOURCE).
      const mayLower = (await machine.run(["sh", "-c", "echo -900 > /proc/self/oom_score_adj"])).code === 0;
      if (!mayLower) console.error("not checked without CAP_SYS_RESOURCE: the worker's score");
      const score = await machine.must(["cat", `/proc/${worker_pid}/oom_score_adj`]);
      expect(score).toBe(mayLower ? "-900\n" : "123\n");
      await cancel("score");
      const log = await until("the hook has run", async () => {
        const { on_exit_file, on_exit_code } = (await job("score")) as HookedJob;
        return on_exit_code === 0 && on_exit_file;
      });
      expect(await machine.must(["cat", log])).toBe("123\n");
    },
  );
});

describe("a user who is not root", () => {
  const asTester = { asTester: true, env: { ORCHESJOB_HOME: `${TESTER.home}/jobs` } };
  const settings = ["User=tester", `Environment=ORCHESJOB_HOME=${TESTER.home}/jobs`];

  inSystemd("gets a scope from the user's own manager, also from within a system service", async () => {
    await machine.startUserManager();
    await machine.units({
      "user.service": service("oneshot", ["start --run-key user -- sleep 600"], settings),
    });
    await machine.must(["systemctl", "start", "user.service"]);
    const { unit, worker_pid, status } = await machine.json(["status", "--run-key", "user"], asTester);
    expect(status).toBe("RUNNING");
    expect(await groupOf(worker_pid)).toEndWith(`/user@${TESTER.uid}.service/app.slice/${unit}`);
    expect(await machine.journal("user.service")).toContain('"warnings": []');

    // A service of that manager ends what it started, too.
    await machine.must(
      [
        ...["systemd-run", "--user", "--wait", "-q", `--setenv=ORCHESJOB_HOME=${TESTER.home}/jobs`],
        ...[PROGRAM, "start", "--run-key", "own", "--", "sleep", "600"],
      ],
      asTester,
    );
    const own = await machine.json(["status", "--run-key", "own"], asTester);
    expect(own).toMatchObject({ status: "RUNNING", unit: `orchesjob-${own.job_id}.scope` });
    for (const key of ["user", "own"]) await machine.json(["cancel", "--run-key", key], asTester);
  });

  inSystemd("gets a warning if the user's manager may end before the job, or does not run", async () => {
    await machine.startUserManager();
    await machine.units({
      "ending.service": service("oneshot", ["start --run-key ending -- sleep 600"], settings),
    });
    // logind would soon stop a manager that no session needs.
    await machine.must(["systemctl", "stop", "systemd-logind.service"]);
    await machine.must(["rm", `/var/lib/systemd/linger/${TESTER.name}`]);
    await machine.must(["systemctl", "start", "ending.service"]);
    expect(await machine.journal("ending.service")).toContain(
      `"the job ends with the last login session of tester, because lingering is off; to let it go on: loginctl enable-linger tester"`,
    );
    await machine.json(["cancel", "--run-key", "ending"], asTester);

    await machine.must(["systemctl", "stop", `user@${TESTER.uid}.service`]);
    await machine.must(["rm", "-rf", `/run/user/${TESTER.uid}/systemd`]);
    await machine.must(["systemctl", "start", "ending.service"]);
    expect(await machine.journal("ending.service")).toContain(
      `"the job stays in ending.service and ends with it: user tester has no running service manager; to keep one running: loginctl enable-linger tester"`,
    );
    // Like cron and sshd: what they have started continues, so there is nothing to warn about.
    await machine.units({
      "going.service": service(
        "oneshot",
        ["start --run-key going -- sleep 600"],
        [...settings, "KillMode=process"],
      ),
    });
    await machine.must(["systemctl", "start", "going.service"]);
    expect(await machine.journal("going.service")).toContain('"warnings": []');
    expect(await machine.json(["status", "--run-key", "going"], asTester)).toMatchObject({
      status: "RUNNING",
      unit: null,
    });
    await machine.json(["cancel", "--run-key", "going"], asTester);

    const refused = await machine.run(
      [PROGRAM, "start", "--run-key", "demanded", "--scope", "always", "--", "sleep", "600"],
      asTester,
    );
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toContain("user tester has no running service manager");
    await machine.must(["systemctl", "start", "systemd-logind.service"]);
  });
});

describe("a login session", () => {
  /** An exit code that nothing else has. */
  const NO_SESSION = 99;

  /**
   * Runs a command in a login over a real ssh, sshd, PAM and logind; over a pipe, so that no port is needed. If
   * logind does not answer in time, PAM lets the user in without a session, which would test nothing.
   */
  async function login(command: string): Promise<string> {
    const quiet = [
      "BatchMode=yes",
      "StrictHostKeyChecking=no",
      "UserKnownHostsFile=/dev/null",
      "LogLevel=ERROR",
    ];
    const words = [
      ...["ssh", "-F", "none", "-i", "/root/ssh/user", ...quiet.flatMap((option) => ["-o", option])],
      ...["-o", "ProxyCommand=/usr/sbin/sshd -i -f /root/ssh/config", `${TESTER.name}@here`],
      `grep -q /session- /proc/self/cgroup || exit ${NO_SESSION}; ${command}`,
    ];
    const { code, stdout, stderr } = await until("a login is a session", async () => {
      const result = await machine.run(words);
      return result.code === NO_SESSION ? undefined : result;
    });
    if (code !== 0) throw new Error(`${command}: exit ${code}: ${stdout}${stderr}`);
    return stdout;
  }

  async function prepare(): Promise<void> {
    await machine.must(["mkdir", "-p", "/root/ssh", "/run/sshd"]);
    for (const name of ["host", "user"])
      await machine.must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", `/root/ssh/${name}`]);
    machine.writeFile("/etc/keys", machine.readFile("/root/ssh/user.pub"));
    const settings = [
      "HostKey /root/ssh/host",
      "AuthorizedKeysFile /etc/keys",
      "UsePAM yes",
      "StrictModes no",
    ];
    machine.writeFile("/root/ssh/config", [...settings, "PidFile none", "LogLevel ERROR", ""].join("\n"));
    machine.writeFile("/etc/pam.d/sshd", "account required pam_permit.so\nsession required pam_systemd.so\n");
    await machine.startUserManager();
  }

  /** Waits until nobody is logged in. A session with remaining processes stays, in the state closing. */
  async function everybodyLeft(): Promise<void> {
    const states =
      "loginctl list-sessions --no-legend | while read -r id _; do loginctl show-session -p State $id; done";
    await until("everybody has logged out", async () => {
      const { stdout } = await machine.run(["sh", "-c", states]);
      return !/State=(active|online|opening)/.test(stdout);
    });
  }

  testWith(
    ["systemd", "sshd", "pam_systemd"],
    "whose processes logind kills does not take the job with it; in any other session the job stays",
    async () => {
      await prepare();
      const start = `ORCHESJOB_HOME=$HOME/logins ${PROGRAM} start --run-key`;
      const status = async (key: string) =>
        machine.json(["status", "--run-key", key], {
          asTester: true,
          env: { ORCHESJOB_HOME: `${TESTER.home}/logins` },
        });
      const where = "sh -c 'grep ^0:: /proc/self/cgroup >&2; exec sleep 600'";

      // The default of most distributions: logind kills nothing.
      const stays = JSON.parse(await login(`${start} stays -- ${where}`)) as JobAnswer;
      await everybodyLeft();
      expect(stays).toMatchObject({ unit: null, warnings: [] });
      expect((await status("stays")).status).toBe("RUNNING");
      expect(await groupOf(stays.worker_pid)).toMatch(/\/session-[^/]+\.scope$/);

      machine.writeFile("/etc/systemd/logind.conf.d/kill.conf", "[Login]\nKillUserProcesses=yes\n");
      await machine.must(["systemctl", "restart", "systemd-logind.service"]);
      const moved = JSON.parse(await login(`${start} moved -- ${where}`)) as JobAnswer;
      const watched = JSON.parse(await login(`sleep 599 >/dev/null 2>&1 & ${start} watched --sync -- true`));
      expect(watched).toMatchObject({ unit: `orchesjob-${(watched as JobAnswer).job_id}.scope` });
      await everybodyLeft();
      // What was left behind beside it shows that logind has killed the session's processes.
      await until(
        "the others are dead",
        async () => (await machine.run(["pgrep", "-fx", "sleep 599"])).code === 1,
      );
      expect(moved).toMatchObject({ unit: `orchesjob-${moved.job_id}.scope`, warnings: [] });
      expect((await status("moved")).status).toBe("RUNNING");
      await machine.must(["test", "-e", `/proc/${moved.target_pid}`]);

      // Other users are excluded by name.
      machine.writeFile(
        "/run/systemd/logind.conf.d/only.conf",
        `[Login]\nKillOnlyUsers=root daemon\n# KillOnlyUsers=${TESTER.name}\n`,
      );
      await machine.must(["systemctl", "restart", "systemd-logind.service"]);
      const spared = JSON.parse(await login(`${start} spared -- sleep 600`)) as JobAnswer;
      await everybodyLeft();
      expect(spared).toMatchObject({ unit: null, warnings: [] });
      expect((await status("spared")).status).toBe("RUNNING");
      for (const key of ["stays", "moved", "spared"])
        await machine.json(["cancel", "--run-key", key], {
          asTester: true,
          env: { ORCHESJOB_HOME: `${TESTER.home}/logins` },
        });
    },
    TEST_TIMEOUT_MS,
  );
});
