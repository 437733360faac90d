/** A signalled worker passes the signal to its command's whole group, and records how the command itself ended. */
import { readFileSync } from "node:fs";
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openDatabase } from "../support/database.ts";
import { injectFaults } from "../support/faults.ts";
import { startBeforeRun } from "../support/hand-over.ts";
import { testWith } from "../support/needs.ts";
import { openFiles, readProc, statusOf } from "../support/processes.ts";
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

test("a signal to the process group of the caller, at the moment when it starts a worker, does not reach the command", async () => {
  await using box = new Sandbox();
  const jobs: JobAnswer[] = [];
  for (let tries = 0; tries < 10; tries++) {
    const runKey = `k${tries}`;
    const words = ["run", "--run-key", runKey, "--", "sh", "-c", "sleep 0.2; exit 3"];
    // As a shell starts it: the leader of a group of its own.
    const run = box.spawn(["setsid", BINARY, ...words]);
    const deadline = Date.now() + 10_000;
    // Not until: the worker leaves the group within a millisecond.
    while (readChildren(run.pid) === "" && Date.now() < deadline);
    process.kill(-run.pid, "SIGHUP");
    await box.finished(run);
    const { code, stdout } = await box.run(["wait", "--run-key", runKey]);
    // It may have been hit before it accepted anything.
    if (code === 0) jobs.push(JSON.parse(stdout) as JobAnswer);
  }
  expect(jobs.length).toBeGreaterThan(0);
  expect(jobs.filter((job) => job.exit_code !== 3)).toEqual([]);
});

function readChildren(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  } catch {
    return "";
  }
}
