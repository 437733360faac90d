/** `--env-file`: what the command gets of a file, what is stored, and what is refused. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hookedJob } from "../support/hooks.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const write = (box: Sandbox, name: string, text: string | Buffer) =>
  writeFileSync(join(box.directory, name), text);

const print = (...names: string[]) => [
  "--",
  "sh",
  "-c",
  `printf '%s|' ${names.map((n) => `"$${n}"`).join(" ")}`,
];

async function printed(box: Sandbox, options: string[], names: string[], env = {}): Promise<string> {
  const run = await box.run(["run", "--run-key", "k", ...options, ...print(...names)], { env });
  expect(run).toMatchObject({ code: 0, stderr: "" });
  return run.stdout;
}

test.each([
  ["A=1\nB=two words\n", "1|two words|"],
  ["# A=0\n; B=0\n\n  A= 1 \n", "1||"],
  ['A=\'  kept  \'\nB="in \\"quotes\\" \\$x \\n"', '  kept  |in "quotes" $x \\n|'],
  ["A=\"two\nlines\"\nB='and\n\nthree'\n", "two\nlines|and\n\nthree|"],
  ["A=$HOME\nB=`id` # no comment\r\n", "$HOME|`id` # no comment|"],
  ["\ufeffA=ü\nB=\nA=last\n", "last||"],
])("the command gets what is in the file: %j", async (text, values) => {
  await using box = new Sandbox();
  write(box, "v.env", text);
  expect(await printed(box, ["--env-file", "v.env"], ["A", "B"], { A: "caller", B: "" })).toBe(values);
});

test("the names are those that --env takes", async () => {
  await using box = new Sandbox();
  const names = ["1B", "a.b-c", "ü", "x'y"];
  write(box, "v.env", names.map((name) => `${name}=file\n`).join(""));
  const asked = names.flatMap((name) => ["--env", `${name}2=asked`]);
  const run = await box.run(["run", "--run-key", "k", "--env-file", "v.env", ...asked, "--", "env"]);
  expect(run).toMatchObject({ code: 0, stderr: "" });
  for (const name of names)
    expect(run.stdout.split("\n")).toEqual(expect.arrayContaining([`${name}=file`, `${name}2=asked`]));
});

test("a file replaces the caller's variables, a later file an earlier one, and --env both", async () => {
  await using box = new Sandbox();
  write(box, "one.env", "A=one\nB=one\nC=one\nORCHESJOB_JOB_ID=forged\n");
  write(box, "two.env", "B=two\nC=two\n");
  const options = ["--env-file", "one.env", "--env-file", "two.env", "--env", "C=asked"];
  const names = ["A", "B", "C", "D"];
  expect(await printed(box, options, names, { A: "caller", D: "caller" })).toBe("one|two|asked|caller|");
  const [job] = await box.json<JobAnswer[]>(["status", "--run-key", "k", "--all"]);
  expect(job).toMatchObject({
    env_files: ["one.env", "two.env"].map((name) => join(box.directory, name)),
  } as object);
  expect(await printed(box, options, ["ORCHESJOB_JOB_ID"])).not.toContain("forged");
});

test("the command is found by the PATH of the file", async () => {
  await using box = new Sandbox();
  await box.execute([
    "sh",
    "-c",
    "mkdir bin; printf '#!/bin/sh\\necho found\\n' > bin/own-tool; chmod +x bin/own-tool",
  ]);
  write(box, "v.env", `PATH=${box.directory}/bin:/usr/bin:/bin\n`);
  const run = await box.run(["run", "--run-key", "k", "--env-file", "v.env", "--", "own-tool"]);
  expect(run).toMatchObject({ code: 0, stdout: "found\n" });
});

test("what is in the file is stored nowhere, and rerun reads it again", async () => {
  await using box = new Sandbox();
  write(box, "v.env", "SECRET=hunter-two\n");
  const hook = ["--on-exit", 'printf %s "${#SECRET}"'];
  const script = ["--", "sh", "-c", 'printf %s "${#SECRET}"'];
  await box.json(["start", "--sync", "--run-key", "k", ...hook, "--env-file", "v.env", ...script]);
  const job = await hookedJob(box, "k");
  expect([job.stdout_file, job.on_exit_file!].map((path) => readFileSync(path, "utf8"))).toEqual([
    "10",
    "10",
  ]);
  expect(await box.execute(["grep", "-r", "hunter-two", box.home])).toMatchObject({ code: 1, stdout: "" });
  write(box, "v.env", "SECRET=other\n");
  const again = await box.json(["rerun", "--sync", "--run-key", "k"]);
  expect(readFileSync(again.stdout_file, "utf8")).toBe("5");
  await hookedJob(box, "k");
  rmSync(join(box.directory, "v.env"));
  const gone = await box.run(["rerun", "--sync", "--run-key", "k"]);
  expect(gone).toMatchObject({ code: 1, stdout: "" });
  expect(gone.stderr).toStartWith("orchesjob: --env-file: cannot open ");
});

test("a file that is gone when the command starts makes the job fail, with the reason", async () => {
  await using box = new Sandbox();
  write(box, "v.env", "A=1\n");
  const again = ["--retries", "1", "--retry-delay", "1s"];
  const words = ["start", "--sync", "--run-key", "k", ...again, "--env-file", "v.env", "--"];
  const job = await box.json([...words, "sh", "-c", "rm v.env; exit 1"]);
  expect(job).toMatchObject({ status: "FAILED", failure: "not_launched", exit_code: -1 });
  expect(job.error).toContain("--env-file: cannot open ");
});

test("an active job is returned without a look at the file", async () => {
  await using box = new Sandbox();
  const { job_id } = await box.json(["start", "--run-key", "k", "--", "sleep", "600"]);
  const again = ["start", "--run-key", "k", "--env-file", "none.env", "--", "sleep", "600"];
  expect(await box.json(again)).toMatchObject({ job_id, existing: true } as object);
  await box.json(["cancel", "--run-key", "k"]);
});

test.each([
  ["secret\n", "line 1 is not NAME=VALUE"],
  ["A=1\nexport B=secret\n", "line 2 begins with export, which is a word of the shell: remove it"],
  ["A=1\n\nB =secret\n", "line 3 has a blank before the =: remove it, or set "],
  ["=secret\n", "line 1 has no name before the ="],
  ["A='secret\nB=2\n", "line 1 has no closing '"],
  ['A="secret\\"', 'line 1 has no closing "'],
  ["A='1' secret", "line 1 has something after the closing '"],
  ["A=secret\0", "it has a NUL byte"],
  [Buffer.from([0x41, 0x3d, 0xff]), "it is not valid UTF-8"],
  [`A=${"x".repeat(1024 ** 2)}`, "it has more than 1 MiB"],
])("a file that cannot be used is refused, and nothing of it is shown: %#", async (text, why) => {
  await using box = new Sandbox();
  write(box, "v.env", text);
  const refused = await box.run(["start", "--run-key", "k", "--env-file", "v.env", "--", "true"]);
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toStartWith(`orchesjob: cannot read --env-file ${box.directory}/v.env: ${why}`);
  expect(refused.stderr).not.toContain("secret");
  expect(await box.run(["status", "--run-key", "k"])).toMatchObject({ code: 3 });
});

test("what is no file is refused", async () => {
  await using box = new Sandbox();
  const start = (path: string) => box.run(["start", "--run-key", "k", "--env-file", path, "--", "true"]);
  expect(await start("")).toMatchObject({ code: 2, stderr: expect.stringContaining("--env-file is empty") });
  expect(await start("/dev/null")).toMatchObject({
    ...{ code: 2, stderr: expect.stringContaining("it is not a regular file") },
  });
  expect(await start("none.env")).toMatchObject({
    ...{ code: 1, stderr: expect.stringContaining(`cannot open ${box.directory}/none.env`) },
  });
});
