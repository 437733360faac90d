/** stdin: orchesjob warns about input that the caller gives without --stdin; --stdin gives it to the command. */
import { expect, setDefaultTimeout, test } from "bun:test";
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { Gate } from "../support/gate.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { shell } from "../support/shell.ts";

setDefaultTimeout(TIMEOUT_MS);

const WARNING = "orchesjob: what is on stdin does not reach the command; to pass it on: --stdin -\n";

function copies(box: Sandbox): string[] {
  return readdirSync(join(box.home, "logs")).filter((name) => name.endsWith(".stdin"));
}

test("start warns about input on stdin that does not reach the command", async () => {
  await using box = new Sandbox();
  writeFileSync(join(box.directory, "input"), "data\n");
  for (const verb of ["run", "start"]) {
    for (const script of [
      `echo data | "$0" ${verb} --run-key k -- cat`,
      `"$0" ${verb} --run-key k -- cat <input`,
    ])
      expect((await shell(box, script)).stderr).toBe(WARNING);
  }
  const late = `{ sleep 0.3; echo data; } | "$0" run --run-key late -- sleep 1`;
  expect((await shell(box, late)).stderr).toBe(WARNING);
});

test("an empty pipe, a closed stdin, no terminal and a file that another process reads cause no warning", async () => {
  await using box = new Sandbox();
  writeFileSync(join(box.directory, "input"), "a\nb\n");
  for (const script of [
    `sleep 0.5 | "$0" run --run-key k -- true`,
    `"$0" run --run-key k -- true </dev/null`,
    `"$0" run --run-key k -- true <&-`,
    `while read line; do "$0" run --run-key k -- true; done <input`,
  ])
    expect(await shell(box, script)).toMatchObject({ code: 0, stderr: "" });
});

test("the launcher opens --stdin FILE, and the command reads it; a rerun opens it again", async () => {
  await using box = new Sandbox();
  const file = join(box.directory, "input");
  writeFileSync(file, "first");
  expect(await box.run(["run", "--run-key", "k", "--stdin", "input", "--", "cat"])).toMatchObject({
    code: 0,
    stdout: "first",
    stderr: "",
  });
  expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ stdin_file: file });
  writeFileSync(file, "second");
  await box.json(["rerun", "--run-key", "k", "--sync"]);
  expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe("second");
  unlinkSync(file);
  for (const words of [
    ["start", "--run-key", "other", "--stdin", file, "--", "cat"],
    ["rerun", "--run-key", "k"],
  ]) {
    const refused = await box.run(words);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(`cannot open ${file}: no such file`);
  }
  expect((await box.run(["status", "--run-key", "other"])).code).toBe(3);
  const fifo = join(box.directory, "fifo");
  expect((await box.execute(["mkfifo", fifo])).code).toBe(0);
  expect((await box.run(["start", "--run-key", "k", "--stdin", fifo, "--", "cat"])).code).toBe(1);
});

test("--stdin - is stored with the job, for it and for a rerun, and deleted with it", async () => {
  await using box = new Sandbox();
  const bytes = new Uint8Array(3_000_017);
  for (let index = 0; index < bytes.length; index++) bytes[index] = (index * 31 + (index >> 8)) & 0xff;
  writeFileSync(join(box.directory, "input"), bytes);
  const script = `cat input | "$0" run --run-key k --stdin - -- cat | cmp - input`;
  expect(await shell(box, script)).toMatchObject({ code: 0, stdout: "", stderr: "" });
  const [copy] = copies(box);
  expect(statSync(join(box.home, "logs", copy!)).mode & 0o777).toBe(0o600);
  const first = await box.json(["status", "--run-key", "k"]);
  expect(first).toMatchObject({ stdin_file: join(box.home, "logs", copy!) });
  const again = await box.json(["rerun", "--run-key", "k", "--sync"]);
  expect(await shell(box, `"$0" logs --run-key k | cmp - input`)).toMatchObject({ code: 0, stdout: "" });
  // Each has its own: the first job may be cleaned.
  expect(copies(box).sort()).toEqual([`${first.job_id}.stdin`, `${again.job_id}.stdin`].sort());
  expect((await box.run(["doctor"])).code).toBe(0);
  await box.json(["clean", "--before", "2100-01-01"]);
  expect(readdirSync(join(box.home, "logs"))).toEqual([]);
});

/** Runs orchesjob with a pipe as its stdin that the test writes to. */
async function withPipe(box: Sandbox, words: readonly string[]) {
  const fifo = join(box.directory, "fifo");
  await box.execute(["mkfifo", fifo]);
  // Opened for reading and writing: that does not block, and there is no end of file before the test closes it.
  const child = box.spawn(["sh", "-c", 'exec "$0" "$@" <"$FIFO"', BINARY, ...words], { env: { FIFO: fifo } });
  const writer = openSync(fifo, "r+");
  await until("it has the pipe as its stdin", () => readlinkSync(`/proc/${child.pid}/fd/0`) === fifo);
  const proc = (name: string) => readFileSync(`/proc/${child.pid}/${name}`, "utf8");
  return {
    child,
    /** read(2), on x64 and arm64, of descriptor 0. */
    isReading: () => until("it reads the pipe", () => /^(0|63) 0x0 /.test(proc("syscall"))),
    hearsSignals: () => until("it hears TERM", () => /^SigCgt:\s+\S*[4-7c-f]\S{3}$/m.test(proc("status"))),
    give: (text: string) => writeSync(writer, text),
    end: () => closeSync(writer),
  };
}

const VERBS: readonly (readonly [string[]])[] = [[["start"]], [["start", "--sync"]], [["run"]]];

test.each(VERBS)(
  "%j of an active key prints its job without reading --stdin -, whose writer has not closed it",
  async (verb) => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const job = await box.json(["start", "--run-key", "k", "--", ...gate.command]);
    const pipe = await withPipe(box, [...verb, "--run-key", "k", "--stdin", "-", "--", "cat"]);
    pipe.give("unread\n");
    if (verb[0] === "start" && verb.length === 1) {
      const { stdout } = await box.finished(pipe.child);
      expect(JSON.parse(stdout)).toMatchObject({ existing: true, job_id: job.job_id, stdin_file: null });
      gate.open();
    } else {
      await pipe.hearsSignals();
      gate.open();
      expect((await box.finished(pipe.child)).code).toBe(0);
    }
    pipe.end();
    expect(copies(box)).toEqual([]);
    expect(await box.json<unknown[]>(["status", "--run-key", "k", "--all"])).toHaveLength(1);
  },
);

test("if a key becomes active while --stdin - is read, that job is the answer, and no copy of the input stays", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const pipe = await withPipe(box, ["start", "--run-key", "k", "--stdin", "-", "--", "cat"]);
  await pipe.isReading();
  pipe.give("late\n");
  const job = await box.json(["start", "--run-key", "k", "--", ...gate.command]);
  pipe.end();
  const answer = JSON.parse((await box.finished(pipe.child)).stdout) as JobAnswer;
  expect(answer).toMatchObject({ existing: true, job_id: job.job_id, command_matches: false });
  expect(copies(box)).toEqual([]);
  expect(await box.json<unknown[]>(["status", "--run-key", "k", "--all"])).toHaveLength(1);
  gate.open();
});

test("many that race with --stdin -: one is accepted with its input, and no other leaves a copy", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `for n in 1 2 3 4 5 6 7 8; do echo $n | "$0" start --run-key k --stdin - -- sh -c 'cat; ${gate.wait}' & done; wait`;
  await shell(box, script);
  const job = await box.json(["status", "--run-key", "k"]);
  expect(await box.json<unknown[]>(["status", "--run-key", "k", "--all"])).toHaveLength(1);
  expect(copies(box)).toEqual([`${job.job_id}.stdin`]);
  gate.open();
});

test.each(VERBS)("%j that is interrupted while it reads --stdin - starts nothing", async (verb) => {
  await using box = new Sandbox();
  const pipe = await withPipe(box, [...verb, "--run-key", "k", "--stdin", "-", "--", "cat"]);
  pipe.give("half\n");
  await pipe.isReading();
  pipe.child.kill("SIGTERM");
  expect(await box.finished(pipe.child)).toMatchObject({ signal: "SIGTERM", stdout: "" });
  pipe.end();
  expect((await box.run(["status", "--run-key", "k"])).code).toBe(3);
  expect(copies(box)).toEqual([]);
});

test("more than 64 MiB on --stdin - is refused, and nothing is started", async () => {
  await using box = new Sandbox();
  const script = `head -c 67108865 /dev/zero | "$0" start --run-key k --stdin - -- cat`;
  const refused = await shell(box, script);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain("up to 64 MiB");
  expect((await box.run(["status", "--run-key", "k"])).code).toBe(3);
});
