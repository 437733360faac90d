/**
 * Variables in the caller's environment that control Bun reach the command as they are, and never the worker's
 * runtime.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Gate } from "../support/gate.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { shell } from "../support/shell.ts";

setDefaultTimeout(TIMEOUT_MS);

const STEERING = {
  // The runtime would end with its parent: the launcher.
  BUN_FEATURE_FLAG_NO_ORPHANS: "1",
  // Descriptor 3 of a worker is its lock.
  NODE_CHANNEL_FD: "3",
  BUN_JSC_useConcurrentGC: "0",
  BUN_GC_TIMER_DISABLE: "0",
  mimalloc_verbose: "0",
  MIMALLOC_PURGE_DELAY: "-1",
  // SIGUSR2, which the engine would use for itself.
  JSC_SIGNAL_FOR_GC: "12",
};

function entriesOf(path: string): string[] {
  return readFileSync(path, "latin1").split("\0").slice(0, -1);
}

test("a worker outlives its launcher whatever variables the launcher's runtime reads", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await box.json(["start", "--run-key", "k", "--", ...gate.command], { env: STEERING });
  const names = entriesOf(`/proc/${job.worker_pid}/environ`).map((entry) => entry.split("=")[0]!);
  expect(names.filter((name) => name in STEERING)).toEqual([
    "BUN_GC_TIMER_DISABLE",
    "BUN_JSC_useConcurrentGC",
  ]);
  gate.open();
  expect(await box.json(["wait", "--run-key", "k"])).toMatchObject({ status: "SUCCEEDED", exit_code: 0 });
});

test("a debugger's address, which only one process can use, does not harm the job", async () => {
  await using box = new Sandbox();
  const env = { BUN_INSPECT: `ws+unix://${join(box.directory, "debugger")}` };
  expect(await box.json(["start", "--run-key", "k", "--sync", "--", "true"], { env })).toMatchObject({
    status: "SUCCEEDED",
  });
});

test.each([
  ["byte for byte", "$(printf 'a\\377\\376z')", "a\xff\xfez"],
  ["also where all of them are text", "$(printf 'a\\303\\251z')", "a\xc3\xa9z"],
])("the command has every such variable, in its place, %s", async (_, written, value) => {
  await using box = new Sandbox();
  const script = `
    exec env -i "ORCHESJOB_HOME=$ORCHESJOB_HOME" A=1 "BUN_RAW=${written}" B=2 NODE_ENV=x NODENAME=y \\
      BUN_CONFIG_VERBOSE_FETCH= mimalloc_verbose=0 C=3 "$@"`;
  const direct = await shell(box, `${script} >direct`, { words: ["cat", "/proc/self/environ"] });
  expect(direct).toMatchObject({ code: 0, stderr: "" });
  const words = ["start", "--run-key", "k", "--sync", "--", "/bin/cat", "/proc/self/environ"];
  const started = await shell(box, script.replace('"$@"', '"$0" "$@"'), { words });
  expect(started).toMatchObject({ code: 0, stderr: "" });
  const given = entriesOf(join(box.directory, "direct"));
  const got = entriesOf((JSON.parse(started.stdout) as JobAnswer).stdout_file);
  expect(given).toContain(`BUN_RAW=${value}`);
  expect(got.slice(0, given.length)).toEqual(given);
  expect(got.slice(given.length).filter((entry) => !entry.startsWith("ORCHESJOB_"))).toEqual([]);
});

test("--env replaces such a variable in its place, and its PATH is used to find the command", async () => {
  await using box = new Sandbox();
  const script = '"$0" start --run-key k --env BUN_X=new --env PATH=/bin --sync -- cat /proc/self/environ';
  const started = await shell(
    box,
    `exec env -i "ORCHESJOB_HOME=$ORCHESJOB_HOME" BUN_X=old PATH=/none A=1 ${script}`,
    {
      words: [],
    },
  );
  const entries = entriesOf((JSON.parse(started.stdout) as JobAnswer).stdout_file);
  expect(entries.slice(1, 4)).toEqual(["BUN_X=new", "PATH=/bin", "A=1"]);
});

test("a hook gets these variables as well, also one that another command runs", async () => {
  await using box = new Sandbox();
  const hook = (name: string) =>
    `cat /proc/self/environ >${box.directory}/part; mv ${box.directory}/part ${box.directory}/${name}`;
  await box.json(["start", "--run-key", "k", "--sync", "--on-exit", hook("own"), "--", "true"], {
    env: STEERING,
  });
  await until("the worker's hook has run", () => existsSync(join(box.directory, "own")));
  await using gate = new Gate(box);
  const job = await box.json([
    "start",
    "--run-key",
    "late",
    "--on-exit",
    hook("late"),
    "--",
    ...gate.command,
  ]);
  process.kill(job.worker_pid!, "SIGKILL");
  gate.open();
  await until(
    "it is lost",
    async () => (await box.json(["status", "--run-key", "late"], { env: STEERING })).status === "LOST",
  );
  await until("the overdue hook has run", () => existsSync(join(box.directory, "late")));
  for (const name of ["own", "late"]) {
    const entries = entriesOf(join(box.directory, name));
    expect(entries.filter((entry) => entry.split("=")[0]! in STEERING).sort()).toEqual(
      Object.entries(STEERING)
        .map(([variable, value]) => `${variable}=${value}`)
        .sort(),
    );
    expect(entries.some((entry) => entry.includes("HIDDEN"))).toBe(false);
  }
});
