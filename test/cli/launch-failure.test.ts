/**
 * A command that cannot be launched: its job is FAILED with -1 and a readable reason, in the answer of start with and
 * without --sync.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { Database } from "bun:sqlite";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hasOpen } from "../support/processes.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/** Makes the commands in `tools`, which is in PATH; the working directory is its parent. */
function makeTools(box: Sandbox): Record<string, string> {
  const tools = join(box.directory, "tools");
  mkdirSync(join(tools, "folder"), { recursive: true });
  writeFileSync(join(tools, "plain"), "not for running\n", { mode: 0o644 });
  writeFileSync(join(tools, "orphaned"), "#!/no/such/interpreter\n", { mode: 0o755 });
  writeFileSync(join(tools, "windows"), "#!/bin/sh\r\necho hello\r\n", { mode: 0o755 });
  writeFileSync(join(tools, "garbage"), new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 0, 0]), { mode: 0o755 });
  symlinkSync("loop", join(tools, "loop"));
  return { PATH: `${tools}:${process.env["PATH"]}` };
}

const FAILURES: readonly [what: string, command: string, error: RegExp][] = [
  ["no such command", "no-such-command", /^command not found: "no-such-command" is in no directory of PATH$/],
  ["no such file", "$TOOLS/missing", /^no such file: "\S+missing"$/],
  ["no such file, relative", "tools/missing", /^no such file: "tools\/missing"$/],
  ["a file that is not executable", "$TOOLS/plain", /permission denied.*chmod \+x/],
  ["a file that is not executable, relative", "./tools/plain", /permission denied.*chmod \+x/],
  ["a file that is not executable, by PATH", "plain", /"plain": permission denied/],
  ["a directory", "$TOOLS/folder", /it is a directory$/],
  ["a directory, relative", "./tools/folder", /it is a directory$/],
  ["a missing interpreter", "$TOOLS/orphaned", /interpreter that its first line names does not exist$/],
  ["the same, relative", "tools/orphaned", /interpreter that its first line names does not exist$/],
  ["the same, by PATH", "orphaned", /interpreter that its first line names does not exist$/],
  [
    "a script with Windows line ends",
    "$TOOLS/windows",
    /^cannot execute "(\S+)\/windows": its first line ends with a carriage return \(CRLF\), so the interpreter that it names does not exist; fix it: sed -i 's\/\\r\$\/\/' \1\/windows$/,
  ],
  ["the same, relative", "tools/windows", /; fix it: sed -i 's\/\\r\$\/\/' tools\/windows$/],
  ["the same, by PATH", "windows", /\(CRLF\).* sed -i 's\/\\r\$\/\/' \S+\/tools\/windows$/],
  ["a damaged program", "tools/garbage", /neither a program/],
  ["a path through a file", "tools/plain/x", /not a directory$/],
  ["a link to itself", "tools/loop", /symbolic link/],
];

describe("the job is FAILED with exit_code -1 and the reason", () => {
  test.each(FAILURES)("%s", async (_, command, error) => {
    await using box = new Sandbox();
    const env = makeTools(box);
    const file = command.replace("$TOOLS", join(box.directory, "tools"));
    for (const mode of [[], ["--sync"]]) {
      const { stdout, stderr, code } = await box.run(["start", "--run-key", "k", ...mode, "--", file, "x"], {
        env,
      });
      const answer = JSON.parse(stdout) as JobAnswer;
      // The answer and the exit code are those of a failed job; the reason goes to stderr at once.
      expect({ code, stderr }).toEqual({
        code: 0,
        stderr: `orchesjob: job ${answer.job_id} could not be launched: ${answer.error}\n`,
      });
      expect(answer).toMatchObject({
        accepted: true,
        command: [file, "x"],
        status: "FAILED",
        exit_code: -1,
        signal: null,
        target_pid: null,
        error: expect.stringMatching(error),
      });
      expect(answer.finished_at).not.toBeNull();
    }
    expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ attempt_no: 2, exit_code: -1 });
    expect(await box.run(["logs", "--run-key", "k"])).toMatchObject({ code: 0, stdout: "", stderr: "" });
  });

  test("a job is FAILED if its working directory is removed before the launch", async () => {
    await using box = new Sandbox();
    const cwd = join(box.directory, "short-lived");
    mkdirSync(cwd);
    await box.json(["start", "--run-key", "first", "--sync", "--", "true"]);
    // The locked database delays the claim, so the launch comes after the removal.
    using database = new Database(`${box.home}/orchesjob.db`);
    database.run("begin immediate");
    const start = box.spawn([BINARY, "start", "--run-key", "k", "--", "pwd"], { cwd });
    await until("the worker has the directory", () =>
      box.processes().some((pid) => pid !== start.pid && hasOpen(pid, cwd)),
    );
    rmSync(cwd, { recursive: true });
    database.run("commit");
    const { code, stdout, stderr } = await box.finished(start);
    expect(code).toBe(0);
    expect(stderr).toMatch(/could not be launched: the working directory \S+ is gone\n$/);
    expect(JSON.parse(stdout)).toMatchObject({
      status: "FAILED",
      exit_code: -1,
      error: `the working directory ${cwd} is gone`,
    });
  });
});

test("a command's own exit code of 255 or 127 is not a launch failure", async () => {
  await using box = new Sandbox();
  for (const code of [127, 255]) {
    const answer = await box.json(["start", "--run-key", "k", "--sync", "--", "sh", "-c", `exit ${code}`]);
    expect(answer).toMatchObject({ status: "FAILED", exit_code: code, error: null });
  }
});

test("a command is found in PATH behind entries of the same name that cannot be executed", async () => {
  await using box = new Sandbox();
  const env = makeTools(box);
  const better = join(box.directory, "better");
  mkdirSync(better);
  writeFileSync(join(better, "plain"), "#!/bin/sh\necho better\n", { mode: 0o755 });
  env["PATH"] = env["PATH"]!.replace(":", `:${better}:`);
  await box.json(["start", "--run-key", "k", "--sync", "--", "plain"], { env });
  expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe("better\n");
});
