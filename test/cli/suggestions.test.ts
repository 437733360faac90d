/** Typing errors, and words known from other programs: the message says what to type, and the command exits 2. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { expectFailure } from "../support/expect.ts";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

test.each([
  [["rm"], "try: orchesjob clean "],
  [["tail", "k"], "try: orchesjob logs --run-key KEY --tail 20 --follow"],
  [["restart"], "try: orchesjob rerun --run-key KEY"],
  [["jobs"], "try: orchesjob ps"],
  [["kill", "1"], "try: orchesjob cancel --run-key KEY"],
  [["stop"], "try: orchesjob cancel"],
  [["fg"], "try: orchesjob attach --run-key KEY"],
  [["history"], "try: orchesjob status --run-key KEY --all"],
  [["delete"], "try: orchesjob clean"],
  [["htop"], "try: orchesjob top"],
  [["ls"], "try: orchesjob list"],
  [["show"], "try: orchesjob status --run-key KEY"],
  [["exec"], "try: orchesjob start --run-key KEY -- COMMAND"],
  [["submit"], "try: orchesjob start"],
  [["constructor"], 'no command "constructor"'],
  [["__proto__"], 'no command "__proto__"'],
  [["help", "strat"], "did you mean start?"],
  [["lx"], "see: orchesjob --help\n"],
  [["help", "kill"], "try: orchesjob cancel"],
  [["--run-key", "x", "start", "--", "true"], "after the command: orchesjob start --run-key x …"],
  [["--run-key=x", "status"], "after the command: orchesjob status --run-key=x\n"],
  [["--run-key", "$(x)", "status"], "after the command: orchesjob status …\n"],
  [["--zzz"], 'orchesjob itself has no option "--zzz"; see: orchesjob --help\n'],
  [["--versoin"], 'orchesjob itself has no option "--versoin"; did you mean --version?\n'],
  [["--Version"], "did you mean --version?\n"],
  [["-version"], "did you mean --version?\n"],
  [["-V"], "did you mean --version?\n"],
  [["--hlep"], "did you mean --help?\n"],
  [["--vers"], "did you mean --version?\n"],
  [["--start"], "did you mean start?\n"],
  [["versoin"], "did you mean version?\n"],
  [["hepl"], "did you mean help?\n"],
])("%j", async (words, message) => {
  await using box = new Sandbox();
  expectFailure(await box.run(words), 2, message);
});

test("every suggested line names an existing command and existing options", async () => {
  await using box = new Sandbox();
  const source = await Bun.file(new URL("../../src/cli/help/elsewhere.ts", import.meta.url)).text();
  const lines = [...source.matchAll(/^ {2}\["([^"]+)", "([^"]+)"\],$/gm)];
  expect(lines.length).toBeGreaterThan(10);
  const names = lines.flatMap((line) => line[1]!.split(" "));
  expect(new Set(names).size).toBe(names.length);
  for (const [, , words = ""] of lines) {
    const help = (await box.run([words.split(" ")[0]!, "--help"])).stdout;
    for (const option of words.match(/--[a-z-]+\b/g) ?? [])
      expect(help).toMatch(new RegExp(`^ {2}(-[a-z], )?${option}\\b`, "m"));
  }
});

test("help with a command's name prints that command's help", async () => {
  await using box = new Sandbox();
  for (const name of ["start", "abort", "logs"])
    expect(await box.run(["help", name])).toEqual(await box.run([name, "--help"]));
  expect(await box.run(["help"])).toEqual(await box.run(["--help"]));
});

describe("a job id may be shortened", () => {
  const COMMANDS = ["status", "logs", "result", "wait", "rerun", "cancel"];

  test("to a unique prefix, for every command that takes one", async () => {
    await using box = new Sandbox();
    const job = await box.json(["start", "--run-key", "k", "--sync", "--", "echo", "said"]);
    for (const command of COMMANDS.slice(0, 4)) {
      const result = await box.run([command, "--job-id", job.job_id.slice(0, 8)]);
      expect({ command, code: result.code }).toEqual({ command, code: 0 });
      expect(result.stdout).toContain(command === "logs" ? "said" : job.job_id);
    }
    expect(await box.run(["cancel", "--job-id", job.job_id.slice(0, 4)])).toMatchObject({
      code: 4,
      stderr: expect.stringContaining(job.job_id),
    });
    const again = await box.json<{ rerun_of_job_id: string }>([
      "rerun",
      "--sync",
      "--job-id",
      job.job_id.slice(0, -1),
    ]);
    expect(again.rerun_of_job_id).toBe(job.job_id);
  });

  test("an ambiguous prefix is refused, and the message names the jobs", async () => {
    await using box = new Sandbox();
    const one = await box.json(["start", "--run-key", "one", "--sync", "--", "true"]);
    const two = await box.json(["start", "--run-key", "two", "--sync", "--", "true"]);
    for (const command of COMMANDS) {
      const result = await box.run([command, "--job-id", one.job_id.slice(0, 4)]);
      expectFailure(result, 2, `${two.job_id} ("two"), ${one.job_id} ("one")`);
    }
    expect((await box.json<unknown[]>(["list"])).length).toBe(2);
  });

  test.each(["none", "zzzzzzzz", "%", "_", "01"])("a prefix of no job, %p: exit 3", async (id) => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
    expectFailure(await box.run(["status", "--job-id", id]), 3, `no job "${id}"`);
  });
});

test.each([
  [["echo hello world"], "leave out the quotes, or run: sh -c 'echo hello world'"],
  [["./backup.sh --full"], "leave out the quotes, or run: sh -c './backup.sh --full'"],
  [["echo it's"], "or run: sh -c 'echo it'\\''s'"],
  [["cd", "/tmp"], "it is a shell command, not a program; run: sh -c 'cd /tmp'"],
  [["export", "A=1"], "it is a shell command, not a program; run: sh -c 'export A=1'"],
  [["source", "profile"], "it is a shell command, not a program; run: sh -c 'source profile'"],
  [["no-such-command"], /is in no directory of PATH\n$/],
  [["no such command", "with words"], /is in no directory of PATH\n$/],
])("run -- %j prints what to type", async (command, message) => {
  await using box = new Sandbox();
  expectFailure(await box.run(["run", "--run-key", "k", "--", ...command]), 127, message);
});
