/**
 * `run` as the main process of a systemd unit: it stands for the command, is stopped like the command, and records
 * the truth about it.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout } from "bun:test";
import { existsSync } from "node:fs";
import { has, testWith } from "../support/needs.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { PROGRAM, SystemdMachine, TESTER } from "../support/systemd.ts";

setDefaultTimeout(TIMEOUT_MS);

/** Prints each signal that comes, until some moments after a TERM; exits with its first argument. */
const SAY_SIGNALS = `#!/usr/bin/perl
$| = 1;
$SIG{$_} = sub { print "heard $_[0]\\n"; $ends = 1 if $_[0] eq "TERM" } for qw(TERM HUP);
print "ready\\n";
sleep 1 until $ends;
select undef, undef, undef, 0.1 for 1 .. 3;
exit shift;
`;

const SLEEP = `sh -c 'echo ready; exec sleep 600'`;
const IGNORES_TERM = `sh -c 'trap "" TERM; echo ready; while :; do sleep 60 & wait $!; done'`;

const KILL_MODES = ["control-group", "mixed", "process"] as const;
const RESTART = ["Restart=on-failure", "RestartSec=0"];

/** Services, each of which runs a command under the run key of its own name. */
const SERVICES: Record<string, readonly [command: string, ...settings: string[]]> = {
  report: [`sh -c 'echo to-stdout; echo to-stderr >&2; exit 3'`, "Type=oneshot"],
  oneshot: [SLEEP, "Type=oneshot", "SuccessExitStatus=SIGTERM"],
  unasked: ["/opt/say-signals 0", "KillMode=mixed", "InaccessiblePaths=/run/dbus /run/systemd/private"],
  foreign: [SLEEP],
  reload: ["/opt/say-signals 0", "KillMode=mixed", "ExecReload=kill -HUP $MAINPID"],
  notify: [
    `sh -c 'systemd-notify --ready --status=serving; exec sleep 600'`,
    "Type=notify",
    "NotifyAccess=all",
  ],
  flaky: [`sh -c 'test $ORCHESJOB_ATTEMPT = 3'`, ...RESTART],
  killed: [SLEEP, ...RESTART],
  beheaded: [SLEEP, ...RESTART],
  cancelled: [SLEEP, ...RESTART],
  sulking: ["/opt/say-signals 1", ...RESTART],
  attached: ["/opt/say-signals 0", ...RESTART, "KillMode=process"],
};
for (const mode of KILL_MODES) {
  SERVICES[`plain-${mode}`] = [SLEEP, `KillMode=${mode}`];
  SERVICES[`polite-${mode}`] = ["/opt/say-signals 0", `KillMode=${mode}`];
  SERVICES[`failing-${mode}`] = ["/opt/say-signals 7", `KillMode=${mode}`];
  SERVICES[`stubborn-${mode}`] = [IGNORES_TERM, `KillMode=${mode}`, "TimeoutStopSec=2"];
}

let box: Sandbox;
let machine: SystemdMachine;

if (has("systemd")) {
  beforeAll(async () => {
    box = new Sandbox();
    machine = await SystemdMachine.boot(box);
    machine.writeFile("/opt/say-signals", SAY_SIGNALS, 0o755);
    const units = Object.entries(SERVICES).map(([name, [command, ...settings]]) => {
      const exec = `ExecStart=${PROGRAM} run --run-key ${name} -- ${command}`;
      return [`${name}.service`, ["[Service]", "Type=exec", ...settings, exec, ""].join("\n")];
    });
    const behindShell = `ExecStart=/bin/sh -c '${PROGRAM} run --run-key shell -- /opt/say-signals 5; true'`;
    await machine.units({
      ...Object.fromEntries(units),
      "hooked.service": [
        ...["[Service]", "Type=oneshot", "KillMode=mixed"],
        `ExecStart=${PROGRAM} run --run-key hooked --on-exit 'sleep 0.3; echo ran > /root/hooked' -- true\n`,
      ].join("\n"),
      "hanging.service": [
        ...["[Service]", "Type=exec", "KillMode=mixed", "TimeoutStopSec=2"],
        `ExecStart=${PROGRAM} run --run-key hanging --on-exit 'sleep 600' -- ${SLEEP}\n`,
      ].join("\n"),
      "stubborn-hooked.service": [
        ...["[Service]", "Type=exec", "TimeoutStopSec=4"],
        `ExecStart=${PROGRAM} run --run-key stubborn-hooked --on-exit 'sleep 0.1; echo ran > /root/stubborn' -- ${IGNORES_TERM}\n`,
      ].join("\n"),
      "look.service": `[Service]\nType=oneshot\nExecStart=${PROGRAM} list\n`,
      "shell.service": `[Service]\n${behindShell}\n`,
    });
  }, 60_000);
  afterAll(async () => {
    await machine[Symbol.asyncDispose]();
    await box[Symbol.asyncDispose]();
  }, 60_000);
}

/** The jobs of a key, newest first. */
async function jobs(runKey: string): Promise<readonly JobAnswer[]> {
  const { code, stdout } = await machine.run([PROGRAM, "status", "--run-key", runKey, "--all"]);
  return code === 0 ? (JSON.parse(stdout) as JobAnswer[]) : [];
}

/** The newest job of the key, once it runs and has printed that it is ready. */
async function ready(runKey: string, attempt = 1): Promise<JobAnswer> {
  return until(`${runKey} is ready`, async () => {
    const [job] = await jobs(runKey);
    return job?.attempt_no === attempt && job.target_pid !== null && written(job) === "ready\n" && job;
  });
}

function written(job: JobAnswer): string {
  return existsSync(machine.path(job.stdout_file)) ? machine.readFile(job.stdout_file) : "";
}

async function start(...names: readonly string[]): Promise<void> {
  await machine.must(["systemctl", "start", ...names]);
}

async function stop(...names: readonly string[]): Promise<void> {
  await machine.must(["systemctl", "stop", ...names]);
}

/** How systemd saw the unit end: `failed exit-code 7`, `inactive success`. */
async function ending(unit: string): Promise<string> {
  const facts = await machine.must(["systemctl", "show", "-p", "ActiveState,Result,ExecMainStatus", unit]);
  const fact = (name: string) => new RegExp(`^${name}=(.*)$`, "m").exec(facts)![1]!;
  const state = `${fact("ActiveState")} ${fact("Result")}`;
  return state === "inactive success" ? state : `${state} ${fact("ExecMainStatus")}`;
}

testWith(["systemd"], "its exit code is the unit's, and its output the journal's", async () => {
  const result = await machine.run(["systemctl", "start", "report"]);
  expect(result.code).toBe(1);
  expect(await ending("report")).toBe("failed exit-code 3");
  const journal = await machine.journal("report");
  expect(journal).toContain("to-stdout\n");
  expect(journal).toContain("to-stderr\n");
  expect((await jobs("report"))[0]).toMatchObject({ status: "FAILED", exit_code: 3 });
});

testWith(["systemd"], "the unit ends when the job's hook has ended, and not before", async () => {
  await start("hooked");
  expect(machine.readFile("/root/hooked")).toBe("ran\n");
});

testWith(["systemd"], "an overdue hook outlives the service whose command has found it", async () => {
  const once =
    "test -e /root/first || { touch /root/first; kill -9 $PPID; exit; }; sleep 1; echo ran > /root/late";
  await machine.json(["start", "--run-key", "late", "--sync", "--on-exit", once, "--", "true"]);
  await until("its worker is gone", () => existsSync(machine.path("/root/first")));
  await machine.must(["systemctl", "start", "look"]);
  await until("the hook has run", () => existsSync(machine.path("/root/late")));
  await until("it is recorded", async () => {
    const [job] = await jobs("late");
    return (job as unknown as { on_exit_code: number | null }).on_exit_code === 0;
  });
});

testWith(["systemd"], "a stop ends the unit as the command ended, even if a hook does not end", async () => {
  await start("hanging");
  await ready("hanging");
  await stop("hanging");
  expect(await ending("hanging")).toBe("inactive success");
  expect(await jobs("hanging")).toMatchObject([{ status: "FAILED", signal: "SIGTERM" }]);
});

describe("systemctl stop", () => {
  let scoped: JobAnswer;

  if (has("systemd")) {
    beforeAll(async () => {
      const names = Object.keys(SERVICES).filter((name) => /^(plain|polite|failing|stubborn)-/.test(name));
      names.push("oneshot", "unasked", "stubborn-hooked");
      await start("--no-block", ...names);
      scoped = await machine.json([
        "start",
        "--run-key",
        "scoped",
        "--scope",
        "always",
        "--",
        "/opt/say-signals",
        "0",
      ]);
      const started = await Promise.all([...names, "scoped"].map((name) => ready(name)));
      // A command that began at the very moment of the stop may receive it twice.
      const pids = started.map((job) => job.target_pid).join(",");
      await until("all are some moments old", async () => {
        const ages = await machine.must(["ps", "-o", "etimes=", "-p", pids]);
        return ages
          .trim()
          .split("\n")
          .map(Number)
          .every((age) => age >= 1);
      });
      await stop(...names, (scoped as JobAnswer & { unit: string }).unit);
    }, 60_000);
  }

  for (const mode of KILL_MODES) {
    testWith(["systemd"], `ends the command with KillMode=${mode}, and that is a clean end`, async () => {
      expect(await ending(`plain-${mode}`)).toBe("inactive success");
      const [job] = await jobs(`plain-${mode}`);
      expect(job).toMatchObject({ status: "FAILED", exit_code: -15, signal: "SIGTERM", error: null });
      expect(await machine.journal(`plain-${mode}`)).not.toMatch(/orchesjob: |Killing process/);
    });

    testWith(
      ["systemd"],
      `reaches the command once with KillMode=${mode}, and its own exit code counts`,
      async () => {
        expect(await ending(`polite-${mode}`)).toBe("inactive success");
        expect(await ending(`failing-${mode}`)).toBe("failed exit-code 7");
        const [polite] = await jobs(`polite-${mode}`);
        const [failing] = await jobs(`failing-${mode}`);
        expect(polite).toMatchObject({ status: "SUCCEEDED", exit_code: 0, signal: null });
        expect(failing).toMatchObject({ status: "FAILED", exit_code: 7, signal: null });
        expect(written(polite!)).toBe("ready\nheard TERM\n");
      },
    );

    testWith(
      ["systemd"],
      `kills a command that ignores it in time with KillMode=${mode}, and the job says so`,
      async () => {
        expect(await ending(`stubborn-${mode}`)).toBe("failed exit-code 137");
        expect((await jobs(`stubborn-${mode}`))[0]).toMatchObject({
          status: "CANCELLED",
          exit_code: -9,
          signal: "SIGKILL",
          cancel_reason: `stubborn-${mode}.service is being stopped, and the command did not end within its TimeoutStopSec`,
        });
        expect(await machine.journal(`stubborn-${mode}`)).not.toContain("Killing process");
      },
    );
  }

  testWith(["systemd"], "leaves the worker of a killed command the time to run its hook", async () => {
    expect(machine.readFile("/root/stubborn")).toBe("ran\n");
    expect((await jobs("stubborn-hooked"))[0]).toMatchObject({ status: "CANCELLED", on_exit_code: 0 });
    expect(await machine.journal("stubborn-hooked")).not.toContain("Killing process");
  });

  testWith(
    ["systemd"],
    "is a clean end of a Type=oneshot unit, too, if SuccessExitStatus= has SIGTERM",
    async () => {
      expect(await ending("oneshot")).toBe("inactive success");
      expect((await jobs("oneshot"))[0]).toMatchObject({ status: "FAILED", signal: "SIGTERM" });
    },
  );

  testWith(["systemd"], "ends the command also if systemd cannot be asked about the unit", async () => {
    expect(await ending("unasked")).toBe("inactive success");
    expect((await jobs("unasked"))[0]).toMatchObject({ status: "SUCCEEDED", exit_code: 0 });
  });

  testWith(["systemd"], "of a job's own scope reaches the command once", async () => {
    const [job] = await jobs("scoped");
    expect(job).toMatchObject({ status: "SUCCEEDED", exit_code: 0 });
    expect(written(job!)).toBe("ready\nheard TERM\n");
  });

  testWith(["systemd"], "leaves a job alone that another process has started", async () => {
    const words = ["--", "sh", "-c", "echo ready; exec sleep 600"];
    const foreign = await machine.json(["start", "--run-key", "foreign", ...words]);
    await start("foreign");
    await until("it has attached", async () => (await machine.journal("foreign")).includes("ready\n"));
    await stop("foreign");
    expect(await ending("foreign")).toBe("failed exit-code 143");
    expect(await jobs("foreign")).toMatchObject([{ job_id: foreign.job_id, status: "RUNNING" }]);
    await machine.must([PROGRAM, "cancel", "--run-key", "foreign"]);
  });

  testWith(["systemd"], "does the same to a user's unit", async () => {
    await machine.startUserManager();
    const asUser = { asTester: true, env: { ORCHESJOB_HOME: `${TESTER.home}/jobs` } };
    const settings = ["--service-type=exec", "--property=KillMode=mixed", "--setenv=ORCHESJOB_HOME"];
    const script = "trap 'exit 4' TERM; echo ready; while :; do sleep 0.01; done";
    const run = [PROGRAM, "run", "--run-key", "k", "--", "sh", "-c", script];
    await machine.must(["systemd-run", "--user", "--unit=mine", ...settings, ...run], asUser);
    await until("it is ready", async () => {
      const { stdout } = await machine.run([PROGRAM, "logs", "--run-key", "k"], asUser);
      return stdout === "ready\n";
    });
    await machine.must(["systemctl", "--user", "stop", "mine"], asUser);
    const job = await machine.json(["status", "--run-key", "k"], asUser);
    expect(job).toMatchObject({ status: "FAILED", exit_code: 4 });
  });

  testWith(
    ["systemd"],
    "ends a run started by a shell, and the command's own end is still recorded",
    async () => {
      await start("shell");
      await ready("shell");
      await stop("shell");
      expect((await jobs("shell"))[0]).toMatchObject({ status: "FAILED", exit_code: 5 });
    },
  );
});

testWith(
  ["systemd"],
  "a signal to the main process reaches the command, and the unit continues as the command does",
  async () => {
    await start("reload");
    await ready("reload");
    await machine.must(["systemctl", "reload", "reload"]);
    await until("it has received HUP", async () => (await machine.journal("reload")).includes("heard HUP\n"));
    expect(await machine.property("reload", "ActiveState")).toBe("active");
    await stop("reload");
    expect(written((await jobs("reload"))[0]!)).toBe("ready\nheard HUP\nheard TERM\n");
  },
);

testWith(
  ["systemd"],
  "a command can notify its readiness, with Type=notify and NotifyAccess=all",
  async () => {
    await start("notify");
    expect(await machine.property("notify", "StatusText")).toBe("serving");
    await stop("notify");
  },
);

describe("Restart=on-failure", () => {
  testWith(["systemd"], "finds the key ready after a failure", async () => {
    await start("flaky");
    await until("it has succeeded", async () => (await jobs("flaky"))[0]?.status === "SUCCEEDED");
    expect((await jobs("flaky")).map((job) => job.exit_code)).toEqual([0, 1, 1]);
  });

  testWith(["systemd"], "finds the key ready after all processes were killed at once", async () => {
    await start("killed");
    await ready("killed");
    await machine.must(["systemctl", "kill", "--signal=KILL", "killed"]);
    await ready("killed", 2);
    await stop("killed");
    const [second, first] = await jobs("killed");
    expect(first).toMatchObject({ status: "LOST", lost_reason: "worker_killed" });
    expect(second).toMatchObject({ status: "FAILED", signal: "SIGTERM" });
  });

  testWith(
    ["systemd"],
    "finds the key ready after run alone was killed: systemd ends the rest first",
    async () => {
      await start("beheaded");
      await ready("beheaded");
      await machine.must(["systemctl", "kill", "--signal=KILL", "--kill-who=main", "beheaded"]);
      await ready("beheaded", 2);
      await stop("beheaded");
      expect((await jobs("beheaded"))[1]).toMatchObject({ status: "FAILED", signal: "SIGTERM" });
    },
  );

  testWith(
    ["systemd"],
    "with KillMode=process attaches to the job that continued, and the unit's stop reaches it again",
    async () => {
      await start("attached");
      const job = await ready("attached");
      await machine.must(["systemctl", "kill", "--signal=KILL", "--kill-who=main", "attached"]);
      await until("it has been started again and shows the output", async () => {
        return (await machine.journal("attached")).split("ready\n").length === 3;
      });
      await stop("attached");
      expect(await jobs("attached")).toMatchObject([{ job_id: job.job_id, status: "SUCCEEDED" }]);
      expect(await machine.journal("attached")).toContain("heard TERM\n");
    },
  );

  for (const name of ["cancelled", "sulking"]) {
    testWith(["systemd"], `does not restart what was cancelled: ${SERVICES[name]![0]}`, async () => {
      await start(name);
      await ready(name);
      await machine.must([PROGRAM, "cancel", "--run-key", name]);
      await until("the unit has ended", async () => (await ending(name)) === "inactive success");
      expect(await jobs(name)).toMatchObject([{ status: "CANCELLED" }]);
    });
  }
});
