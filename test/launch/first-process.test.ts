/**
 * `run` as the first process of a container stands for the command: the container's stop reaches the command, and
 * everything ends with it.
 */
import { describe, expect, setDefaultTimeout } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Gate } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { childrenOf } from "../support/processes.ts";
import { BINARY, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc"];

/**
 * Runs `run` as the first process of a container, and returns once its command is ready; `stop` does what `docker
 * stop` does.
 */
function startAsFirst(box: Sandbox, script: string, ...options: readonly string[]) {
  return startIn(box, [BINARY, "run", "--run-key", "k", ...options], script);
}

/** The same with other words to run in the container. */
async function startIn(box: Sandbox, words: readonly string[], script: string) {
  const ready = join(box.directory, "ready");
  const outside = box.spawn([...CONTAINER, ...words, "--", "sh", "-c", `touch ${ready}; ${script}`]);
  await until("the command runs", () => existsSync(ready));
  const first = childrenOf(outside.pid)[0]!;
  return {
    stop: (signal: NodeJS.Signals = "SIGTERM") => process.kill(first, signal),
    ended: box.finished(outside),
  };
}

describe("a container's stop", () => {
  testWith(["unshare"], "reaches the command, and ends it: 143, FAILED with the signal", async () => {
    await using box = new Sandbox();
    const container = await startAsFirst(box, "while :; do read -r line < /dev/zero || sleep 0.01; done");
    container.stop();
    expect(await container.ended).toMatchObject({ code: 143, stdout: "" });
    expect(await box.json(["status", "--run-key", "k"])).toMatchObject({
      status: "FAILED",
      signal: "SIGTERM",
    });
  });

  testWith(["unshare"], "lets the command finish, with its own exit code", async () => {
    await using box = new Sandbox();
    const script = "trap 'echo tidied; exit 7' TERM INT; while :; do sleep 0.01; done";
    const container = await startAsFirst(box, script);
    container.stop("SIGINT");
    expect(await container.ended).toMatchObject({ code: 7, stdout: "tidied\n" });
    expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ status: "FAILED", exit_code: 7 });
  });
});

testWith(["unshare"], "lets the hook run before the container ends", async () => {
  await using box = new Sandbox();
  const hook = join(box.directory, "hook");
  const container = await startAsFirst(
    box,
    "exit 3",
    "--on-exit",
    `sleep 0.3; echo "$ORCHESJOB_STATUS" > ${hook}`,
  );
  expect(await container.ended).toMatchObject({ code: 3 });
  expect(await Bun.file(hook).text()).toBe("FAILED\n");
  expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ on_exit_code: 0 });
});

testWith(["unshare"], "leaves a job of another container alone that run only watches", async () => {
  await using box = new Sandbox();
  const gate = join(box.directory, "gate");
  await box.execute(["mkfifo", gate]);
  const job = await box.json(["start", "--run-key", "k", "--", "sh", "-c", `read -r line < ${gate}; exit 5`]);
  const outside = box.spawn([...CONTAINER, BINARY, "run", "--run-key", "k", "--", "true"]);
  const first = await until("run is the first process", () => childrenOf(outside.pid)[0]);
  const handlesSignals = async () =>
    /^SigCgt:\s+\S*[4-7c-f]\S{3}$/m.test(await Bun.file(`/proc/${first}/status`).text());
  await until("it hears signals", handlesSignals);
  process.kill(first, "SIGTERM");
  expect(await box.finished(outside)).toMatchObject({
    code: 143,
    stderr: expect.stringContaining("goes on"),
  });
  await box.execute(["sh", "-c", `echo > ${gate}`]);
  expect(await box.json(["wait", "--job-id", job.job_id])).toMatchObject({ status: "FAILED", exit_code: 5 });
});

const TIDY = "trap 'echo tidied; exit 7' TERM; while :; do sleep 0.01; done";

describe("a container's stop reaches the command also", () => {
  testWith(["unshare", "tini"], "from a small init, as with docker run --init", async () => {
    await using box = new Sandbox();
    const container = await startIn(box, ["tini", "--", BINARY, "run", "--run-key", "k"], TIDY);
    container.stop();
    expect(await container.ended).toMatchObject({ code: 7, stdout: "tidied\n" });
    expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ status: "FAILED", exit_code: 7 });
  });

  testWith(["unshare"], "through start --sync, which answers when the command has ended", async () => {
    await using box = new Sandbox();
    const words = [BINARY, "start", "--run-key", "k", "--sync", "--exit-status"];
    const container = await startIn(box, words, TIDY);
    container.stop();
    const { code, stdout } = await container.ended;
    expect(code).toBe(7);
    expect(JSON.parse(stdout)).toMatchObject({ status: "FAILED", exit_code: 7, warnings: [] });
  });
});

testWith(
  ["unshare", "tini"],
  "a run that a small init has adopted is left alone, and so is its job",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    // Its parent is gone before the signal comes, and the container continues.
    const script = `
    sh -c '"$0" run --run-key k -- sh -c "$1" 2>left & echo $! >adopted' "$0" "${gate.wait}"
    until "$0" status --run-key k 2>&1 | grep -q RUNNING; do sleep 0.02; done
    run=$(cat adopted); kill -TERM $run
    while kill -0 $run; do sleep 0.02; done 2>/dev/null
    cat left; "$0" status --run-key k | grep '"status"'
    echo > ${gate.path}; "$0" wait --run-key k | grep '"status"'`;
    const ended = await box.execute([...CONTAINER, "tini", "--", "sh", "-c", script, BINARY]);
    expect(ended.stdout).toMatch(/^orchesjob: left job .* goes on.*\n.*RUNNING.*\n.*SUCCEEDED.*\n$/);
  },
);

testWith(["unshare"], "start as the first process warns that its job ends with the container", async () => {
  await using box = new Sandbox();
  const ended = await box.execute([...CONTAINER, BINARY, "start", "--run-key", "k", "--", "sleep", "60"]);
  expect(JSON.parse(ended.stdout).warnings).toEqual([
    "this container ends with its first command, and the job ends with the container; use orchesjob run as that command",
  ]);
  await until("it is lost", async () => (await box.json(["status", "--run-key", "k"])).status === "LOST");
});

describe("a container's first process that leaves a job in there says that the job ends as well:", () => {
  /** A shell starts the job, then becomes the command that leaves it: the first process. */
  async function leaving(box: Sandbox, ...words: readonly string[]) {
    const script = `"$0" start --run-key k -- sleep 600 >${box.directory}/answer && exec "$0" "$@"`;
    const outside = box.spawn([...CONTAINER, "sh", "-c", script, BINARY, ...words]);
    return { outside, first: await until("the first process", () => childrenOf(outside.pid)[0]) };
  }
  const isListening = async (pid: number) =>
    (await Bun.file(`/proc/${pid}/cmdline`).text()).startsWith(BINARY) &&
    /^SigCgt:\s+\S*[4-7c-f]\S{3}$/m.test(await Bun.file(`/proc/${pid}/status`).text());

  for (const words of [
    ["wait", "--run-key", "k"],
    ["logs", "--follow", "--run-key", "k"],
    ["start", "--sync", "--run-key", "k", "--", "sleep", "600"],
  ])
    testWith(["unshare"], words[0]!, async () => {
      await using box = new Sandbox();
      const { outside, first } = await leaving(box, ...words);
      await until("it hears signals", () => isListening(first));
      process.kill(first, "SIGTERM");
      const { stderr } = await box.finished(outside);
      expect(stderr).toMatch(
        /^orchesjob: left job (\S+), which ends with this container; see its output: orchesjob logs --job-id \1\n$/,
      );
      const isLost = async () => (await box.json(["status", "--run-key", "k"])).status === "LOST";
      await until("the job has ended with it", isLost);
    });

  testWith(["unshare"], "wait whose time is over", async () => {
    await using box = new Sandbox();
    const { outside } = await leaving(box, "wait", "--run-key", "k", "--timeout", "0.2");
    expect((await box.finished(outside)).stderr).toMatch(/is still RUNNING; it ends with this container\n$/);
  });
});
