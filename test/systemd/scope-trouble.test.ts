/** A systemd that hangs, or is absent: a start must neither hang with it nor promise what it cannot keep. */
import { expect, setDefaultTimeout } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { testWith } from "../support/needs.ts";
import { expectFailure } from "../support/expect.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { PROGRAM, SystemdMachine } from "../support/systemd.ts";

setDefaultTimeout(TIMEOUT_MS);

testWith(
  ["systemd"],
  "a start does not hang with a systemd that does not answer, and a launcher killed meanwhile leaves a job that runs",
  async () => {
    await using box = new Sandbox();
    await using machine = await SystemdMachine.boot(box);
    await machine.units({ "holder.service": "[Service]\nExecStart=/bin/sleep infinity\n" });
    await machine.must(["systemctl", "start", "holder.service"]);
    /** Calls orchesjob from within the service; a hanging systemd could not start it. */
    const call = (...words: readonly string[]) => {
      const group = "/sys/fs/cgroup/system.slice/holder.service/cgroup.procs";
      return machine.spawn([
        ...["sh", "-c", `echo $$ > ${group}; "$@"; exit $?`, "sh", PROGRAM, "start", ...words],
        ...["--", "sleep", "600"],
      ]);
    };
    process.kill(machine.pid, "SIGSTOP");
    try {
      const patient = box.finished(call("--run-key", "patient"));
      const demanding = box.finished(call("--run-key", "demanding", "--property", "MemoryMax=1G"));
      call("--run-key", "killed");
      // Of the calls that wait for systemd, the one whose job has already been accepted.
      await until("it is accepted", async () => (await status("killed"))?.status === "STARTING");
      await machine.must(["pkill", "-KILL", "-f", "start --run-key killed"]);
      await until("it runs all the same", async () => (await status("killed"))?.status === "RUNNING");

      const { code, stdout } = await patient;
      expect(code).toBe(0);
      const late = "systemd did not answer within 5 seconds";
      expect(JSON.parse(stdout)).toMatchObject({
        status: "RUNNING",
        unit: null,
        warnings: [`the job stays in holder.service and ends with it: ${late}`],
      });
      expectFailure(await demanding, 1, late);
      expect(await status("demanding")).toBeUndefined();
    } finally {
      process.kill(machine.pid, "SIGCONT");
    }
    for (const key of ["patient", "killed"]) await machine.json(["cancel", "--run-key", key]);

    async function status(key: string): Promise<JobAnswer | undefined> {
      const result = await machine.run([PROGRAM, "status", "--run-key", key]);
      return result.code === 0 ? (JSON.parse(result.stdout) as JobAnswer) : undefined;
    }
  },
  60_000,
);

/** Words in front of a command that show it a system whose first process is not systemd. */
const ELSEWHERE = ["unshare", "--pid", "--fork", "--mount-proc", "--cgroup"];

testWith(["unshare"], "without systemd, --scope always is refused", async () => {
  await using box = new Sandbox();
  for (const option of ["--scope=always", "--property=MemoryMax=1G"]) {
    const command = [BINARY, "start", "--run-key", "k", option, "--", "touch", "ran"];
    // The first process must not be the launcher, or the kernel would end the worker with it.
    const result = await box.execute([...ELSEWHERE, "sh", "-c", '"$@"; exit $?', "sh", ...command]);
    expectFailure(
      result,
      1,
      /^orchesjob: cannot create a scope for the job: systemd is not running here; nothing/,
    );
  }
  expect((await box.run(["status", "--run-key", "k"])).code).toBe(3);
  expect(existsSync(join(box.directory, "ran"))).toBeFalse();
  expect(readdirSync(join(box.home, "locks"))).toEqual([]);
});

testWith(
  ["unshare", "strace"],
  "outside a systemd unit, a start reads one file to find that out, and calls nobody",
  async () => {
    await using box = new Sandbox();
    /** The system calls of a start, those of the launcher first. In its own cgroup namespace it is in no unit. */
    const callsOf = async (scope: string) => {
      const trace = join(box.directory, `trace-${scope}`);
      const traced = ["strace", "-f", "-qq", "-o", trace, "-e", "trace=openat,open,statx,execve,connect"];
      const start = [BINARY, "start", "--run-key", scope, "--scope", scope, "--sync", "--", "/bin/true"];
      const { code } = await box.execute(["unshare", "--cgroup", ...traced, ...start]);
      expect(code).toBe(0);
      return readFileSync(trace, "utf8").split("\n");
    };
    const calls = await callsOf("auto");
    const groupReads = (lines: readonly string[]) => {
      const launcher = `${lines[0]!.split(" ")[0]!} `;
      return lines.filter((line) => line.startsWith(launcher) && line.includes('"/proc/self/cgroup"')).length;
    };
    // Bun's runtime reads it, too.
    expect(groupReads(calls)).toBe(groupReads(await callsOf("never")) + 1);
    expect(
      calls.filter((line) =>
        /\/proc\/1\/(?!cmdline)|\/run\/systemd|logind|busctl|systemd-run|connect\(/.test(line),
      ),
    ).toEqual([]);
    // orchesjob itself, the worker, and the command.
    const executed = calls
      .map((line) => / execve\("([^"]*)"/.exec(line)?.[1])
      .filter((file) => file !== undefined);
    expect(executed).toEqual([BINARY, "/proc/self/exe", "/bin/true"]);
  },
);

testWith(
  ["systemd", "strace"],
  "a scope ends what its worker may not signal: the kernel kills all that is in it",
  async () => {
    await using box = new Sandbox();
    await using machine = await SystemdMachine.boot(box);
    const words = ["start", "--run-key", "refused", "--scope", "always", "--", "sleep", "600"];
    const { job_id, unit, worker_pid } = await machine.json(words);
    const calls = "pidfd_send_signal,kill";
    const tracing = ["-e", `trace=${calls}`, "-e", `inject=${calls}:error=EPERM`, "-o", "/dev/null"];
    const tracer = machine.spawn(["strace", "-f", "-qq", "-p", String(worker_pid), ...tracing]);
    const isTraced = async () =>
      !/^TracerPid:\s+0$/m.test(await machine.must(["cat", `/proc/${worker_pid}/status`]));
    await until("strace is attached", isTraced);
    const cancelled = await machine.run([PROGRAM, "cancel", "--run-key", "refused", "--grace-seconds", "0"]);
    expect(cancelled).toMatchObject({
      code: 4,
      stderr: expect.stringContaining(`job ${job_id} is CANCELLED, but`),
    });
    const again = await machine.run([PROGRAM, "start", "--run-key", "refused", "--", "true"]);
    expect(again.code).toBe(4);
    await until(
      "the scope is gone",
      async () => (await machine.run(["systemctl", "is-active", unit!])).stdout === "inactive\n",
    );
    await box.finished(tracer);
    expect(await machine.json(["status", "--run-key", "refused"])).toMatchObject({
      status: "CANCELLED",
      orphan_pids: [],
    });
    const free = await machine.json(["start", "--run-key", "refused", "--sync", "--", "true"]);
    expect(free.status).toBe("SUCCEEDED");
  },
);
