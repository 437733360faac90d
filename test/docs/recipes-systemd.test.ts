/**
 * The recipes for cron, for a service with a timer and for a CI runner, in a real systemd: Debian's cron, and a
 * service as the runner.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout } from "bun:test";
import { has, testWith } from "../support/needs.ts";
import { readRecipeFile } from "../support/recipes.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { PROGRAM, SystemdMachine, TESTER } from "../support/systemd.ts";

setDefaultTimeout(TIMEOUT_MS);

let box: Sandbox;
let machine: SystemdMachine;

beforeAll(async () => {
  if (!has("systemd")) return;
  box = new Sandbox();
  machine = await SystemdMachine.boot(box);
}, TIMEOUT_MS);

afterAll(async () => {
  if (!has("systemd")) return;
  await machine[Symbol.asyncDispose]();
  await box[Symbol.asyncDispose]();
}, TIMEOUT_MS);

/**
 * The table with another time, because its own may be a day away: @reboot, which counts for the daemon's first start
 * after boot.
 */
function atBoot(table: string, time: string): string {
  expect(table).toContain(`\n${time} `);
  return table.replace(time, "@reboot");
}

/** Makes it the only table of the machine's cron, whose mails go to /tmp/mail-N. */
async function useCrontab(name: string, table: string): Promise<void> {
  const sendmail = `#!/bin/sh\ncat > /tmp/mail.$$\nmv /tmp/mail.$$ /tmp/mail-$$\n`;
  machine.writeFile("/usr/sbin/sendmail", sendmail, 0o755);
  await machine.must(["sh", "-c", "rm -f /etc/cron.d/*"]);
  machine.writeFile(`/etc/cron.d/${name}`, table);
}

function night(): Promise<string> {
  const words = "rm -f /run/crond.reboot; systemctl reset-failed cron; systemctl restart cron";
  return machine.must(["sh", "-c", words]);
}

/** Waits until the daemon has no children, and so no mail left to send. */
function cronIsIdle(): Promise<boolean> {
  return until(
    "cron has nothing to do",
    async () => (await machine.run(["pgrep", "-c", "-x", "cron"])).stdout === "1\n",
  );
}

testWith(
  ["systemd", "cron"],
  "the cron line: silent when all is well, one job for two nights, a mail for a failure",
  async () => {
    const failing = `echo copying; until [ -e /tmp/go ]; do sleep 0.02; done; echo "disk is full" >&2; exit 4`;
    machine.writeFile("/usr/local/sbin/backup", `#!/bin/sh\n${failing}\n`, 0o755);
    await useCrontab("backup", atBoot(readRecipeFile("backup.cron"), "30 2 * * *"));
    const history = async (): Promise<JobAnswer[]> => {
      const { code, stdout } = await machine.run([PROGRAM, "status", "--run-key", "backup", "--all"]);
      return code === 0 ? (JSON.parse(stdout) as JobAnswer[]) : [];
    };
    const callers = async () =>
      (await machine.run(["pgrep", "-fc", `^${PROGRAM} run --run-key backup`])).stdout.trim();

    await night();
    await until("it runs", async () => (await history())[0]?.target_pid != null);
    await night();
    await until("the second night has come", async () => (await callers()) === "2");
    await machine.must(["touch", "/tmp/go"]);
    const mails = await until("both nights have sent a mail", async () => {
      const { stdout } = await machine.run(["sh", "-c", "cat /tmp/mail-*"]);
      return stdout.split("\nTo: ").length === 3 && stdout;
    });
    expect(mails).toContain("To: admin@example.org");
    expect(mails.split("disk is full\n")).toHaveLength(3);
    expect(mails.split('"exit_code": 4,\n')).toHaveLength(3);
    expect(mails).not.toContain("copying\n");
    expect(await history()).toMatchObject([{ status: "FAILED", attempt_no: 1 }]);

    machine.writeFile("/usr/local/sbin/backup", "#!/bin/sh\necho copying\n", 0o755);
    await machine.must(["sh", "-c", "rm /tmp/mail-*"]);
    await night();
    await until("the third night is over", async () => (await history())[0]?.status === "SUCCEEDED");
    await cronIsIdle();
    expect(await machine.must(["ls", "/tmp"])).not.toContain("mail");
  },
  TIMEOUT_MS,
);

testWith(
  ["systemd", "cron"],
  "the daily import of cron: a failure is tried again, a success is not, and is silent",
  async () => {
    const program = `#!/bin/sh\necho came >> ~/came\n[ -e ~/input ] || { echo "no input yet" >&2; exit 4; }\n`;
    machine.writeFile(`${TESTER.home}/bin/import`, program, 0o755);
    const recipe = readRecipeFile("import.cron").replaceAll("/home/anna", TESTER.home);
    await machine.must(["sh", "-c", "rm -f /tmp/mail-*"]);
    await useCrontab("import", atBoot(recipe.replaceAll("anna", TESTER.name), "*/30 4-8 * * *"));
    const came = () => machine.readFile(`${TESTER.home}/came`).split("\n").length - 1;
    const mails = async () => (await machine.run(["sh", "-c", "cat /tmp/mail-*"])).stdout;

    await night();
    await until("the failure is mailed", async () => (await mails()).includes("no input yet\n"));
    expect(came()).toBe(1);
    await machine.must(["sh", "-c", "rm /tmp/mail-*"]);
    await machine.must(["touch", `${TESTER.home}/input`]);
    await night();
    await until("it is tried again", () => came() === 2);
    await cronIsIdle();
    await night();
    await cronIsIdle();
    expect(came()).toBe(2);
    expect(await mails()).toBe("");
    const home = { asTester: true, env: { ORCHESJOB_HOME: `${TESTER.home}/.local/share/orchesjob` } };
    const jobs = await machine.json<JobAnswer[]>(["list"], home);
    expect(jobs).toMatchObject([{ status: "SUCCEEDED" }, { status: "FAILED" }]);
    expect(jobs[0]!.run_key).toMatch(/^import-\d{4}-\d\d-\d\d$/);
  },
  TIMEOUT_MS,
);

testWith(
  ["systemd"],
  "the service and its timer: systemd-analyze has no complaint, and a failure is tried again",
  async () => {
    const paths = ["backup.service", "backup.timer"].map((name) => `/etc/systemd/system/${name}`);
    machine.writeFile("/usr/local/sbin/backup", `#!/bin/sh\nexec test "$ORCHESJOB_ATTEMPT" -ge 3\n`, 0o755);
    await machine.must([PROGRAM, "clean", "--keep", "0"]);
    for (const path of paths) machine.writeFile(path, readRecipeFile(path.split("/").at(-1)!));
    expect(await machine.run(["systemd-analyze", "verify", ...paths])).toMatchObject({ code: 0, stderr: "" });
    const soon = {
      "backup.service": "[Service]\nRestartSec=0\n",
      "backup.timer": "[Timer]\nOnActiveSec=0\n",
    };
    for (const [name, text] of Object.entries(soon))
      machine.writeFile(`/etc/systemd/system/${name}.d/soon.conf`, text);
    await machine.must(["systemctl", "daemon-reload"]);
    await machine.must(["systemctl", "enable", "--now", "backup.timer"]);
    expect(await machine.must(["systemctl", "is-enabled", "backup.timer"])).toBe("enabled\n");
    const history = async () => {
      const { code, stdout } = await machine.run([PROGRAM, "status", "--run-key", "backup", "--all"]);
      return code === 0 ? (JSON.parse(stdout) as JobAnswer[]) : [];
    };
    await until("it has succeeded", async () => (await history())[0]?.status === "SUCCEEDED");
    expect((await history()).map((job) => job.status)).toEqual(["SUCCEEDED", "FAILED", "FAILED"]);
    expect(await machine.must(["systemctl", "list-timers", "--plain", "--no-legend"])).toContain(
      "backup.timer",
    );
  },
  TIMEOUT_MS,
);

testWith(
  ["systemd"],
  "the CI step continues when the runner is stopped, can be attached to again, and keeps commits apart",
  async () => {
    await machine.startUserManager();
    const { deploy } = Bun.YAML.parse(
      readRecipeFile("gitlab-ci.yml").replaceAll("/home/gitlab-runner", TESTER.home),
    ) as { deploy: { variables: Record<string, string>; script: string[] } };
    const script = `echo "begin $1" | tee -a trace; until [ -e /tmp/deploy ]; do sleep 0.02; done; echo "end $1" >> trace; exit 3`;
    machine.writeFile(`${TESTER.home}/deploy.sh`, `#!/bin/sh\n${script}\n`, 0o755);
    machine.writeFile(`${TESTER.home}/step.sh`, deploy.script.join("\n"));
    const variables = Object.entries(deploy.variables).map(([name, value]) => `Environment=${name}=${value}`);
    const runner = (commit: string) =>
      [
        ...["[Service]", "Type=exec", "User=tester", `WorkingDirectory=${TESTER.home}`],
        ...[...variables, `Environment=CI_COMMIT_SHA=${commit}`, "ExecStart=/bin/bash -e step.sh", ""],
      ].join("\n");
    await machine.units({ "runner-a.service": runner("aaa"), "runner-b.service": runner("bbb") });
    const asTester = { asTester: true, env: deploy.variables };
    const job = async (commit: string): Promise<JobAnswer | undefined> => {
      const words = [PROGRAM, "status", "--run-key", `deploy-${commit}`];
      const { code, stdout } = await machine.run(words, asTester);
      return code === 0 ? (JSON.parse(stdout) as JobAnswer) : undefined;
    };
    const shown = async () => (await machine.journal("runner-a")).split("begin aaa\n").length - 1;

    await machine.must(["systemctl", "start", "runner-a"]);
    await until("the deployment has begun", async () => (await shown()) === 1);
    await machine.must(["systemctl", "stop", "runner-a"]);
    const left = await job("aaa");
    expect(left).toMatchObject({ status: "RUNNING", unit: `orchesjob-${left!.job_id}.scope` });
    await machine.must(["test", "-e", `/proc/${left!.target_pid}`]);

    await machine.must(["systemctl", "start", "runner-a", "runner-b"]);
    await until("the retry shows it from its first byte", async () => (await shown()) === 2);
    await until("the other commit's job runs", async () => (await job("bbb"))?.target_pid != null);
    await machine.must(["touch", "/tmp/deploy"]);
    for (const unit of ["runner-a", "runner-b"]) {
      await until(
        `${unit} has ended`,
        async () => (await machine.property(unit, "ActiveState")) === "failed",
      );
      expect(await machine.property(unit, "ExecMainStatus")).toBe("3");
    }
    expect(await job("aaa")).toMatchObject({ job_id: left!.job_id, status: "FAILED", attempt_no: 1 });
    expect(machine.readFile(`${TESTER.home}/trace`)).toBe("begin aaa\nend aaa\nbegin bbb\nend bbb\n");
  },
  TIMEOUT_MS,
);
