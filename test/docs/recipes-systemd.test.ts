/** The recipes of README.md for cron and for a CI runner, in a real systemd: Debian's cron, and a service as the runner. */
import { afterAll, beforeAll, expect, setDefaultTimeout } from "bun:test";
import { has, testWith } from "../support/needs.ts";
import { readRecipe } from "../support/recipes.ts";
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

testWith(
  ["systemd", "cron"],
  "the line of cron: silent when all is well, one job for two nights, a mail for a failure",
  async () => {
    const failing = `echo copying; until [ -e /tmp/go ]; do sleep 0.02; done; echo "disk is full" >&2; exit 4`;
    machine.writeFile("/usr/local/sbin/backup", `#!/bin/sh\n${failing}\n`, 0o755);
    machine.writeFile(
      "/usr/sbin/sendmail",
      `#!/bin/sh\ncat > /tmp/mail.$$\nmv /tmp/mail.$$ /tmp/mail-$$\n`,
      0o755,
    );
    const line = readRecipe("cron", "crontab");
    // Its own time may be a day away. This one is the start of the daemon, if it is the first since the boot.
    const now = line.replace("30 2 * * *", "@reboot");
    expect(now).not.toBe(line);
    await machine.must(["sh", "-c", "rm -f /etc/cron.d/*"]);
    machine.writeFile("/etc/cron.d/backup", now);
    const night = () => machine.must(["sh", "-c", "rm -f /run/crond.reboot; systemctl restart cron"]);
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
    // A daemon that waits for nobody has nothing to send any more.
    await until(
      "cron has nothing to do",
      async () => (await machine.run(["pgrep", "-c", "-x", "cron"])).stdout === "1\n",
    );
    expect(await machine.must(["ls", "/tmp"])).not.toContain("mail");
  },
  TIMEOUT_MS,
);

testWith(
  ["systemd"],
  "the step of CI: goes on when the runner is stopped, is attached to again, and keeps commits apart",
  async () => {
    await machine.startUserManager();
    const { deploy } = Bun.YAML.parse(
      readRecipe("CI", "yaml").replaceAll("/home/gitlab-runner", TESTER.home),
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
