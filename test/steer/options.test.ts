/** The options of start for the command's surroundings: --cwd, --env, --label. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

async function output(box: Sandbox, options: readonly string[], command: readonly string[]): Promise<string> {
  const result = await box.run(["run", "--run-key", "k", ...options, "--", ...command]);
  expect({ code: result.code, stderr: result.stderr }).toEqual({ code: 0, stderr: "" });
  return result.stdout;
}

describe("--cwd", () => {
  test.each([
    ["an absolute path", (box: Sandbox) => join(box.directory, "inner")],
    ["a relative path", () => "inner"],
    ["a relative path with dots", () => "./inner/../inner/"],
  ])("%s", async (_, path) => {
    await using box = new Sandbox();
    mkdirSync(join(box.directory, "inner"));
    expect(await output(box, ["--cwd", path(box)], ["pwd", "-P"])).toBe(`${join(box.directory, "inner")}\n`);
  });

  test("a relative command is looked up there", async () => {
    await using box = new Sandbox();
    mkdirSync(join(box.directory, "inner"));
    writeFileSync(join(box.directory, "inner/tool"), "#!/bin/sh\necho found\n", { mode: 0o755 });
    expect(await output(box, ["--cwd", "inner"], ["./tool"])).toBe("found\n");
  });

  test("a symbolic link is followed", async () => {
    await using box = new Sandbox();
    symlinkSync("/", join(box.directory, "link"));
    expect(await output(box, ["--cwd", "link"], ["pwd", "-P"])).toBe("/\n");
  });

  test.each([
    ["one that does not exist", "no/such", "does not exist"],
    ["a file", "file", "not a directory"],
  ])("%s: FAILED, exit code -1, and error names it", async (_, path, reason) => {
    await using box = new Sandbox();
    writeFileSync(join(box.directory, "file"), "");
    const answer = await box.json(["start", "--run-key", "k", "--cwd", path, "--", "true"]);
    expect(answer).toMatchObject({ status: "FAILED", exit_code: -1, signal: null });
    expect(answer.error).toContain(join(box.directory, path));
    expect(answer.error).toContain(reason);
  });
});

describe("--env", () => {
  test.each([
    ["an empty value", "A=", ""],
    ["a value with =", "A=b=c==", "b=c=="],
    ["blanks and quotes", `A= " ' $HOME * `, ` " ' $HOME * `],
    ["a newline", "A=x\ny", "x\ny"],
    ["emoji", "A=🎉é", "🎉é"],
    ["a long value", `A=${"x".repeat(100_000)}`, "x".repeat(100_000)],
  ])("%s", async (_, variable, value) => {
    await using box = new Sandbox();
    expect(await output(box, ["--env", variable], ["printenv", "A"])).toBe(`${value}\n`);
  });

  test("wins over the caller's variable of the same name, and changes no other", async () => {
    await using box = new Sandbox();
    const env = { A: "caller", AB: "caller", B: "caller" };
    const words = [
      "run",
      "--run-key",
      "k",
      "--env",
      "A=option",
      "--",
      "sh",
      "-c",
      `env | grep -E '^(A|AB|B)=' | sort`,
    ];
    expect((await box.run(words, { env })).stdout).toBe("A=option\nAB=caller\nB=caller\n");
  });

  test("the last value of a name counts", async () => {
    await using box = new Sandbox();
    const options = ["--env", "A=1", "--env", "B=2", "--env", "A=3"];
    expect(await output(box, options, ["sh", "-c", "echo $A $B; env | grep -c ^A="])).toBe("3 2\n1\n");
  });

  test.each(["a.b-c", "__proto__", "constructor", "é"])("a name as odd as %p", async (name) => {
    await using box = new Sandbox();
    const lines = (await output(box, ["--env", `${name}=x`], ["env"])).split("\n");
    expect(lines).toContain(`${name}=x`);
  });

  test("the command is looked up in the PATH that --env sets", async () => {
    await using box = new Sandbox();
    writeFileSync(join(box.directory, "only-here"), "#!/bin/sh\necho found\n", { mode: 0o755 });
    expect(await output(box, ["--env", `PATH=${box.directory}:/bin`], ["only-here"])).toBe("found\n");
  });

  test("orchesjob's own variables cannot be overridden", async () => {
    await using box = new Sandbox();
    const ours = ["ORCHESJOB_JOB_ID", "ORCHESJOB_RUN_KEY", "ORCHESJOB_ATTEMPT"];
    const options = ours.flatMap((name) => ["--env", `${name}=forged`]);
    const lines = (await output(box, options, ["printenv", ...ours])).trim().split("\n");
    const { job_id: id } = await box.json(["status", "--run-key", "k"]);
    expect(lines).toEqual([id, "k", "1"]);
  });

  test("variables that would change Bun reach only the command", async () => {
    await using box = new Sandbox();
    const options = ["--env", "BUN_BE_BUN=1", "--env", "BUN_OPTIONS=--preload /no/such"];
    expect(await output(box, options, ["printenv", "BUN_BE_BUN", "BUN_OPTIONS"])).toBe(
      "1\n--preload /no/such\n",
    );
  });
});

test("labels are stored as they are, the last of a name counts", async () => {
  await using box = new Sandbox();
  const labels = [
    "team=billing",
    "a.b/c-d=x=y",
    "empty=",
    "text= two\nlines 🎉",
    "team=sales",
    "__proto__=p",
  ];
  await box.json([
    "start",
    "--run-key",
    "k",
    "--sync",
    ...labels.flatMap((label) => ["--label", label]),
    "--",
    "true",
  ]);
  const { labels: noted } = await box.json<{ labels: Record<string, string> }>(["status", "--run-key", "k"]);
  expect(Object.entries(noted).sort()).toEqual(
    [
      ["__proto__", "p"],
      ["a.b/c-d", "x=y"],
      ["empty", ""],
      ["team", "sales"],
      ["text", " two\nlines 🎉"],
    ].sort() as [string, string][],
  );
});
