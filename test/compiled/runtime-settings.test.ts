/** The settings for the worker's own runtime never reach the command, and the caller's values do. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { Gate, startWaiting } from "../support/gate.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const SETTINGS = {
  BUN_GC_TIMER_DISABLE: "1",
  BUN_JSC_useWarmUpMarkedBlocks: "0",
  BUN_JSC_numberOfGCMarkers: "1",
  BUN_JSC_useConcurrentGC: "0",
  BUN_JSC_useConcurrentJIT: "0",
};
const NAMES = Object.keys(SETTINGS);

/** Entries of a /proc/PID/environ that have one of the names, one character per byte. */
function settingsIn(path: string): string[] {
  const entries = readFileSync(path, "latin1").split("\0");
  return entries.filter((entry) => NAMES.some((name) => entry.startsWith(name)));
}

/** execve(2) with exactly these entries, also those that no shell and no env(1) would pass on; `%NN` is a byte. */
const EXECUTE = `
  import { dlopen, ptr } from "bun:ffi";
  const { execve } = dlopen("libc.so.6", { execve: { args: ["ptr", "ptr", "ptr"], returns: "i32" } }).symbols;
  const [entries, ...argv] = process.argv.slice(1);
  const bytes = (text) => Buffer.from(text.replace(/%(..)/g, (_, hex) => String.fromCharCode(parseInt(hex, 16))) + "\\0", "latin1");
  const kept = [];
  const vector = (texts) => BigUint64Array.from([...texts.map((text) => BigInt(ptr(kept[kept.push(bytes(text)) - 1]))), 0n]);
  execve(bytes(argv[0]), vector(argv), vector(JSON.parse(entries)));`;

async function environmentOfCommand(box: Sandbox, entries: readonly string[], ...options: string[]) {
  const given = [`ORCHESJOB_HOME=${box.home}`, `PATH=${process.env["PATH"]}`, ...entries];
  const words = [BINARY, "start", "--run-key", "k", ...options, "--sync", "--", "cat", "/proc/self/environ"];
  const result = await box.execute([process.execPath, "-e", EXECUTE, JSON.stringify(given), ...words]);
  expect(result).toMatchObject({ code: 0, stderr: "" });
  return settingsIn((JSON.parse(result.stdout) as JobAnswer).stdout_file);
}

test("the worker has its settings, and its command has none of them", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  expect(settingsIn(`/proc/${job.worker_pid}/environ`)).toEqual(
    Object.entries(SETTINGS).map(([name, value]) => `${name}=${value}`),
  );
  expect(settingsIn(`/proc/${job.target_pid}/environ`)).toEqual([]);
});

test.each([
  ["the same values", Object.entries(SETTINGS).map(([name, value]) => `${name}=${value}`)],
  ["other values, in another order", ["BUN_JSC_useWarmUpMarkedBlocks=true", "BUN_GC_TIMER_DISABLE=0"]],
  ["one of them", ["BUN_JSC_useWarmUpMarkedBlocks=1"]],
  ["an empty one", ["BUN_GC_TIMER_DISABLE="]],
  ["one twice", ["BUN_GC_TIMER_DISABLE=0", "OTHER=1", "BUN_GC_TIMER_DISABLE=1"]],
  ["one that is no text", ["BUN_GC_TIMER_DISABLE=%ff%01%fe"]],
  ["one without a value", ["BUN_GC_TIMER_DISABLE"]],
  ["names that only begin so", ["BUN_GC_TIMER_DISABLED=1", "BUN_GC_TIMER_DISABLE.old=1"]],
] as const)("the command gets what the caller has set: %s", async (_, entries) => {
  await using box = new Sandbox();
  const expected = entries
    .filter((entry) => !entry.startsWith("OTHER"))
    .map((entry) => entry.replace(/%(..)/g, (_all, hex: string) => String.fromCharCode(parseInt(hex, 16))));
  expect(await environmentOfCommand(box, entries)).toEqual(expected);
});

test("the command gets what --env sets", async () => {
  await using box = new Sandbox();
  const options = NAMES.flatMap((name) => ["--env", `${name}=asked`]);
  expect(await environmentOfCommand(box, [], ...options)).toEqual(NAMES.map((name) => `${name}=asked`));
});

test.each([
  ["has none of them, as the command", []],
  ["has what --env asks for, as the command", NAMES.map((name) => `${name}=asked`)],
] as const)("a hook %s", async (_, asked) => {
  await using box = new Sandbox();
  const options = asked.flatMap((entry) => ["--env", entry]);
  const hook = `cat /proc/self/environ >${box.directory}/part; mv ${box.directory}/part ${box.directory}/hook`;
  await environmentOfCommand(box, [], ...options, "--on-exit", hook);
  await until("the hook has run", () => existsSync(`${box.directory}/hook`));
  // The shell may print them in any order.
  expect(settingsIn(`${box.directory}/hook`).sort()).toEqual([...asked].sort());
});
