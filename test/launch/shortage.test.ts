/** A failure for lack of a resource names that resource, and does not blame the command. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { Database } from "bun:sqlite";
import { chmodSync, chownSync, closeSync, copyFileSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { injectFaults } from "../support/faults.ts";
import { testWith } from "../support/needs.ts";
import { childrenOf, readProc } from "../support/processes.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { shell } from "../support/shell.ts";
import { runAs, STRANGER } from "../support/users.ts";

setDefaultTimeout(TIMEOUT_MS);

const SHORTAGES = [
  ["processes", "clone,clone3,vfork:error=EAGAIN", /limit of processes is reached/],
  ["memory", "clone,clone3,vfork:error=ENOMEM", /not enough memory/],
  ["room for its arguments", "execve:error=E2BIG", /arguments and its environment together/],
  ["open files of the system", "execve:error=ENFILE", /too many files are open/],
] as const;

for (const [what, inject, reason] of SHORTAGES) {
  const name = `a job that could not be launched for lack of ${what} is FAILED, and its code is not that of a bad program`;
  testWith(["strace"], name, async () => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "first", "--sync", "--", "true"]);
    // While the database is locked the launcher cannot claim, so the worker waits, and faults can be injected.
    using database = new Database(`${box.home}/orchesjob.db`);
    database.run("begin immediate");
    const run = box.spawn([BINARY, "run", "--run-key", "k", "--", "true"]);
    // Before its execve(2) the child is a copy of its launcher, and a fault would hit the start of the worker itself.
    const isWorker = (pid: number) => readProc(pid, "cmdline").includes("_worker");
    const worker = await until("a worker", () => childrenOf(run.pid).find(isWorker));
    const faults = await injectFaults(box, worker, inject);
    database.run("commit");
    const { code, stderr } = await box.finished(run);
    await faults.heal();
    expect(code).toBe(125);
    expect(stderr).toMatch(reason);
    expect(await box.json(["status", "--run-key", "k"])).toMatchObject({
      status: "FAILED",
      exit_code: -1,
      failure: "not_launched",
      error: expect.stringMatching(reason),
    });
  });
}

test("a program that is still being written fails to start, and the error says why", async () => {
  await using box = new Sandbox();
  const program = join(box.directory, "program");
  copyFileSync("/bin/true", program);
  const fd = openSync(program, "r+");
  const job = await box.json(["start", "--run-key", "k", "--sync", "--", program]);
  closeSync(fd);
  // Linux 6.11 alone executes it all the same.
  if (job.status === "FAILED")
    expect(job).toMatchObject({
      failure: "not_launched",
      error: expect.stringContaining("open for writing"),
    });
  else expect(job.status).toBe("SUCCEEDED");
});

testWith(["strace"], "a start that cannot make its worker says why, and accepts nothing", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--run-key", "first", "--sync", "--", "true"]);
  // The runtime makes its threads through other calls.
  const tracing = ["-qq", "-o", "/dev/null", "-e", "trace=vfork", "-e", "inject=vfork:error=EAGAIN"];
  const result = await box.execute(["strace", ...tracing, BINARY, "run", "--run-key", "k", "--", "true"]);
  expect(result).toMatchObject({ code: 125, stdout: "" });
  expect(result.stderr).toMatch(
    /^orchesjob: cannot start a worker, so nothing runs: the limit of processes is reached /,
  );
  expect((await box.run(["status", "--run-key", "k"])).code).toBe(3);
  expect(await box.json(["start", "--run-key", "k", "--sync", "--", "true"])).toMatchObject({
    attempt_no: 1,
  });
});

describe("limits that are too small for orchesjob itself", () => {
  test.each([6, 8, 10, 15, 20])("%d open files", async (limit) => {
    await using box = new Sandbox();
    const result = await shell(box, `ulimit -n ${limit}; exec "$0" start --run-key k -- true`);
    expect(result).toMatchObject({
      code: 1,
      stdout: "",
      stderr: `orchesjob: the open file limit is ${limit}, but orchesjob needs 40; raise the hard limit (ulimit -n, LimitNOFILE=)\n`,
    });
  });

  test.each([0, 1, 64, 1_000])("files of %d blocks", async (blocks) => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "first", "--sync", "--", "true"]);
    const result = await shell(box, `ulimit -f ${blocks}; exec "$0" run --run-key k -- true`);
    expect(result).toMatchObject({ code: 125, stdout: "" });
    expect(result.stderr).toMatch(
      /^orchesjob: the file size limit is \d+ bytes, .* \(ulimit -f, LimitFSIZE=\)\n$/,
    );
    expect(await box.json(["list"])).toHaveLength(1);
  });
});

testWith(
  ["root"],
  "a worker whose user has reached the limit of processes still records how its jobs end",
  async () => {
    await using box = new Sandbox();
    chmodSync(box.directory, 0o755);
    mkdirSync(box.home, { mode: 0o700 });
    chownSync(box.home, STRANGER, STRANGER);
    const as = async (...words: string[]) => {
      const { code, stdout, stderr } = await runAs(STRANGER, box, words);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      return JSON.parse(stdout) as JobAnswer;
    };
    const user = ["setpriv", `--reuid=${STRANGER}`, `--regid=${STRANGER}`, "--clear-groups"];
    const limit = async ({ worker_pid }: JobAnswer) => {
      const set = await box.execute([...user, "prlimit", "--nproc=1", "--pid", String(worker_pid)]);
      expect(set).toMatchObject({ code: 0, stderr: "" });
    };
    // After a second the worker gives memory back, for which its runtime would start threads.
    await limit(await as("start", "--run-key", "ends", "--", "sh", "-c", "sleep 2; exit 3"));
    await limit(await as("start", "--run-key", "late", "--timeout", "2", "--", "sleep", "1000"));
    await limit(await as("start", "--run-key", "cancelled", "--", "sleep", "1000"));
    expect(await as("wait", "--run-key", "ends")).toMatchObject({ status: "FAILED", exit_code: 3 });
    expect(await as("wait", "--run-key", "late")).toMatchObject({ status: "FAILED", failure: "timed_out" });
    expect(await as("cancel", "--run-key", "cancelled")).toMatchObject({
      status: "CANCELLED",
      exit_code: -15,
    });
  },
);
