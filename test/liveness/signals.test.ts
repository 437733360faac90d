/** A signalled worker passes the signal to its command's whole group, and records how the command itself ended. */
import { readFileSync } from "node:fs";
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openDatabase } from "../support/database.ts";
import { injectFaults } from "../support/faults.ts";
import { startBeforeRun } from "../support/hand-over.ts";
import { testWith } from "../support/needs.ts";
import { childrenOf, openFiles, readProc, statusOf } from "../support/processes.ts";
import { BINARY, isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const finished = (box: Sandbox): Promise<JobAnswer> =>
  until("its end", async () => {
    const answer = await statusOf(box, "k");
    return answer.finished_at !== null && answer;
  });

for (const [signal, number] of [
  ["SIGTERM", 15],
  ["SIGINT", 2],
  ["SIGHUP", 1],
] as const) {
  test(`${signal} to the worker ends the whole group of its command, and is recorded`, async () => {
    await using box = new Sandbox();
    // A shell may start its children with signals ignored; here all have their defaults.
    const job = await box.json(["start", "--run-key", "k", "--", "perl", "-e", "fork; sleep 1000"]);
    const group = await until("both run", () => {
      const found = box.processes().filter((pid) => readProc(pid, "comm") === "perl\n");
      return found.length === 2 && found;
    });
    process.kill(job.worker_pid!, signal);
    expect(await finished(box)).toMatchObject({
      status: "FAILED",
      exit_code: -number,
      signal,
      lost_reason: null,
    });
    await until("the group has ended", () => !group.some(isAlive));
  });
}

test("a command that handles SIGTERM and exits with 0 has succeeded", async () => {
  await using box = new Sandbox();
  const ready = join(box.directory, "ready");
  const script = `$SIG{TERM} = sub { print "saved\\n"; exit 0 }; open(R, ">", "${ready}"); close R; sleep 1000`;
  const job = await box.json(["start", "--run-key", "k", "--", "perl", "-e", script]);
  await until("it is ready", () => existsSync(ready));
  process.kill(job.worker_pid!, "SIGTERM");
  expect(await finished(box)).toMatchObject({ status: "SUCCEEDED", exit_code: 0, signal: null });
  expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe("saved\n");
});

test("a signal that arrives before the worker has its handlers reaches the command all the same", async () => {
  await using box = new Sandbox();
  const { worker } = await startBeforeRun(box, "k", ["sleep", "1000"]);
  process.kill(worker, "SIGTERM");
  process.kill(worker, "SIGCONT");
  expect(await finished(box)).toMatchObject({ status: "FAILED", exit_code: -15, signal: "SIGTERM" });
});

testWith(
  ["strace"],
  "a signal that arrives while the worker cannot begin reaches the command all the same",
  async () => {
    await using box = new Sandbox();
    const { worker } = await startBeforeRun(box, "k", ["sleep", "1000"]);
    const database = openDatabase(box);
    database.run("begin immediate");
    process.kill(worker, "SIGCONT");
    await until("the worker tries", () =>
      openFiles(worker).some((path) => path.endsWith("orchesjob.db-wal")),
    );
    process.kill(worker, "SIGTERM");
    // It has tried again and again since, so it has received the signal.
    const requests = await injectFaults(box, worker, "fcntl:delay_enter=1");
    await until("attempts were given up and made again", () => requests.count() > 40);
    await requests.heal();
    database.run("rollback");
    database.close();
    expect(await finished(box)).toMatchObject({ status: "FAILED", exit_code: -15, signal: "SIGTERM" });
  },
);

test("a command that kills itself is recorded with its signal", async () => {
  await using box = new Sandbox();
  expect(
    await box.json(["start", "--run-key", "k", "--sync", "--", "sh", "-c", "kill -SEGV $$"]),
  ).toMatchObject({ status: "FAILED", exit_code: -11, signal: "SIGSEGV" });
});

testWith(
  ["strace"],
  "a signal to the group of the caller that hits a worker before it leaves that group does not reach the command",
  async () => {
    await using box = new Sandbox();
    // Long enough to be hit; strace lets go of the child when that becomes the worker.
    const slow = ["-e", "trace=setsid", "-e", "inject=setsid:delay_enter=1000000:when=1"];
    const trace = ["strace", "-f", "-b", "execve", "-qq", "-o", "/dev/null", ...slow];
    const words = [
      "sh",
      "-c",
      'trap "echo heard HUP" HUP; trap "echo heard TERM; exit 3" TERM; echo ready; while :; do sleep 0.05; done',
    ];
    const job = await until("a worker is hit in time", async () => {
      const runKey = Bun.randomUUIDv7();
      const run = box.spawn([...trace, BINARY, "run", "--run-key", runKey, "--", ...words]);
      const launcher = await until("the launcher", () => childrenOf(run.pid)[0]);
      const child = await until("its child", () => childrenOf(launcher)[0]);
      process.kill(child, "SIGHUP");
      // If it had become the worker already, the signal is the worker's.
      const isInTime = !readProc(child, "cmdline").includes("_worker");
      const started = await until("the command handles signals, or has ended", async () => {
        const { code, stdout } = await box.run(["status", "--run-key", runKey]);
        if (code !== 0) return undefined;
        const found = JSON.parse(stdout) as JobAnswer;
        return (
          (found.finished_at !== null || readFileSync(found.stdout_file, "utf8").includes("ready")) && found
        );
      });
      // A signal to the worker reaches the command, after all that came before.
      if (started.finished_at === null) process.kill(started.worker_pid!, "SIGTERM");
      await box.finished(run);
      return isInTime && started;
    });
    expect(readFileSync(job.stdout_file, "utf8")).toBe("ready\nheard TERM\n");
  },
);
