/**
 * LOST does not mean free: while a process of a LOST job lives its key is refused, and then runs without further
 * action.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { edit } from "../support/database.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { killAndWait, killWorker, openFiles, stateOf, statusOf } from "../support/processes.ts";
import { BINARY, isAlive, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const start = (box: Sandbox) => box.run(["start", "--run-key", "k", "--sync", "--", "true"]);

/** The key is refused with exit 4, no job is added, nothing is killed; the key is free when the orphans have ended. */
async function expectGuarded(box: Sandbox, orphans: readonly number[], end: () => unknown): Promise<void> {
  const lost = await statusOf(box, "k");
  expect(lost).toMatchObject({ status: "LOST", lost_reason: "worker_killed" });
  expect([...lost.orphan_pids].sort()).toEqual([...orphans].sort());
  const refused = await start(box);
  expect(refused.code).toBe(4);
  expect(refused.stdout).toBe("");
  for (const pid of orphans) expect(refused.stderr).toContain(String(pid));
  expect(refused.stderr).toMatch(
    /^orchesjob: cannot start "k": .* for \d+s; wait for its end, or end it: orchesjob cancel --job-id [0-9a-f-]+/,
  );
  expect(orphans.filter(isAlive)).toEqual([...orphans]);
  expect((await box.json<unknown[]>(["status", "--run-key", "k", "--all"])).length).toBe(1);
  end();
  await until("the orphans end", () => !orphans.some(isAlive));
  expect((await statusOf(box, "k")).orphan_pids).toEqual([]);
  const free = await start(box);
  expect(free.code).toBe(0);
  expect(JSON.parse(free.stdout)).toMatchObject({ existing: false, attempt_no: 2, status: "SUCCEEDED" });
}

test("a command that outlived its worker keeps its key from running, and frees it by its end", async () => {
  await using box = new Sandbox();
  const gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  await killWorker(job);
  await expectGuarded(box, [job.target_pid!], () => gate.open());
});

test("clean keeps a LOST job whose command still runs, and says so", async () => {
  await using box = new Sandbox();
  const gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  await killWorker(job);
  await statusOf(box, "k");
  const clean = () => box.run(["clean", "--before", "2100-01-01"]);
  const kept = await clean();
  expect(JSON.parse(kept.stdout)).toMatchObject({ deleted: 0, errors: 0, stray_files: 0 });
  expect(kept.stderr).toBe(`orchesjob: job ${job.job_id} is kept: its command still runs\n`);
  await expectGuardedOnce(box, job.target_pid!);
  gate.open();
  await until("its end", () => !isAlive(job.target_pid!));
  expect(JSON.parse((await clean()).stdout)).toMatchObject({ deleted: 1, errors: 0, stray_files: 0 });
});

async function expectGuardedOnce(box: Sandbox, pid: number): Promise<void> {
  const refused = await start(box);
  expect(refused.code).toBe(4);
  expect(refused.stderr).toContain(String(pid));
}

/** Ways for a process to leave its job, as shell scripts. $ME is the descendant to be found: it waits at $GATE. */
const ESCAPES: Readonly<Record<string, string>> = {
  "a descendant in a session of its own": "setsid $ME &",
  "a daemon (double fork, session of its own, root directory)": `(setsid sh -c "cd /; $ME & exit" &)`,
  "a descendant with another name": `setsid bash -c "exec -a kworker/0 $ME" &`,
  "a descendant that wrote over its command line and environment": `setsid perl -e '$0 = "x" x 20000; open(P, ">>", "pids"); print P "$$\\n"; close P; open(G, "<", $ENV{GATE}); <G>' &`,
  "a descendant with a cleared environment": "env -i $ME &",
  "a descendant with a cleared environment in a session of its own": "env -i setsid $ME &",
  "a descendant that closed its output": `setsid sh -c "exec > /dev/null 2>&1; exec $ME" &`,
  "a descendant with a cleared environment that closed its output": `env -i sh -c "exec > /dev/null 2>&1; exec $ME" &`,
};

for (const [name, script] of Object.entries(ESCAPES)) {
  test(`${name} is found`, async () => {
    await using box = new Sandbox();
    const leader = new Gate(box, "leader");
    const gate = new Gate(box);
    const pids = join(box.directory, "pids");
    const me = join(box.directory, "descendant");
    await Bun.write(me, `echo $$ > ${pids}\n${gate.wait}\n`);
    const job = await box.json(["start", "--run-key", "k", "--", "sh", "-c", `${script}\n${leader.wait}`], {
      env: { ME: `sh ${me}`, GATE: gate.path },
    });
    const descendant = await until("the descendant runs", () => {
      const text = existsSync(pids) ? readFileSync(pids, "utf8") : "";
      return text.endsWith("\n") && Number(text);
    });
    await killWorker(job);
    await killAndWait(job.target_pid!);
    await expectGuarded(box, [descendant], () => gate.open());
  });
}

test("a descendant that shed name, session, environment and output is found by its living parent", async () => {
  await using box = new Sandbox();
  const gate = new Gate(box);
  const pids = join(box.directory, "pids");
  const me = join(box.directory, "descendant");
  await Bun.write(me, `exec > /dev/null 2>&1; echo $$ > ${pids}; ${gate.wait}\n`);
  const job = await box.json([
    ...["start", "--run-key", "k", "--", "sh", "-c", `env -i setsid sh ${me} & ${gate.wait}`],
  ]);
  const descendant = await until("it runs", () => existsSync(pids) && Number(readFileSync(pids, "utf8")));
  await killWorker(job);
  await expectGuarded(box, [job.target_pid!, descendant], () => gate.open(2));
});

testWith(
  ["python3"],
  "a command whose first thread has ended and whose others continue is not a zombie",
  async () => {
    await using box = new Sandbox();
    const gate = new Gate(box);
    const script = [
      "import ctypes, threading",
      `threading.Thread(target=lambda: open("${gate.path}").readline()).start()`,
      "ctypes.CDLL(None).pthread_exit(None)",
    ].join("\n");
    const job = await box.json(["start", "--run-key", "k", "--", "python3", "-c", script]);
    await until("the first thread has ended", () => stateOf(job.target_pid!) === "Z");
    await killWorker(job);
    expect(await statusOf(box, "k")).toMatchObject({ status: "LOST", orphan_pids: [job.target_pid!] });
    expect((await start(box)).code).toBe(4);
    gate.open();
    await until("it is free", async () => (await start(box)).code === 0);
  },
);

test("a process that only reads a lost job's output is no orphan", async () => {
  await using box = new Sandbox();
  const gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  const reader = box.spawn(["tail", "-f", job.stdout_file]);
  await until("the reader reads", () => openFiles(reader.pid).includes(job.stdout_file));
  await killWorker(job);
  // It is none beside a real orphan, and none alone.
  await expectGuarded(box, [job.target_pid!], () => gate.open());
  reader.kill();
  await box.finished(reader);
});

test("a job that was started from within a job is no orphan of the outer one", async () => {
  await using box = new Sandbox();
  const gate = new Gate(box);
  const outer = await box.json([
    ...["start", "--run-key", "k", "--"],
    ...[BINARY, "start", "--run-key", "inner", "--sync", "--", "sh", "-c", gate.wait],
  ]);
  const inner = await until("the inner job runs", async () => {
    const result = await box.run(["status", "--run-key", "inner"]);
    const answer = result.code === 0 ? JSON.parse(result.stdout) : undefined;
    return answer?.target_pid ? answer : undefined;
  });
  await killWorker(outer);
  // The inner start belongs to the outer job; the inner worker and command do not.
  expect((await statusOf(box, "k")).orphan_pids).toEqual([outer.target_pid!]);
  await killAndWait(outer.target_pid!);
  expect((await statusOf(box, "k")).orphan_pids).toEqual([]);
  expect((await start(box)).code).toBe(0);
  expect(await statusOf(box, "inner")).toMatchObject({ status: "RUNNING", target_pid: inner.target_pid });
  gate.open();
  await until("its end", async () => (await statusOf(box, "inner")).status === "SUCCEEDED");
});

test("a command that was launched but not yet recorded in the database is found", async () => {
  await using box = new Sandbox();
  const gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  await killWorker(job);
  edit(box, "update job_records set target_pid = null, target_start = null");
  await expectGuarded(box, [job.target_pid!], () => gate.open());
});

testWith(
  ["root", "unshare"],
  "an orphan that cannot be seen from a container keeps the key all the same",
  async () => {
    await using box = new Sandbox();
    const gate = new Gate(box);
    const job = await startWaiting(box, "k", gate);
    await killWorker(job);
    const inside = ["unshare", "--pid", "--fork", "--mount-proc", BINARY];
    const refused = await box.execute([...inside, "start", "--run-key", "k", "--", "true"]);
    expect(refused.code).toBe(4);
    expect(refused.stderr).toMatch(/cannot be seen from here .*wait for its end, or end it where it runs/);
    const clean = await box.execute([...inside, "clean", "--before", "2100-01-01"]);
    expect(JSON.parse(clean.stdout)).toMatchObject({ deleted: 0, errors: 0, stray_files: 0 });
    await expectGuarded(box, [job.target_pid!], () => gate.open());
  },
);

testWith(
  ["root", "unshare", "machine"],
  "a clean in a container keeps a LOST job from outside whose command may run with its output elsewhere",
  async () => {
    await using box = new Sandbox();
    const gate = new Gate(box);
    const script = `exec >/dev/null 2>&1; ${gate.wait}`;
    const job = await box.json(["start", "--run-key", "k", "--", "sh", "-c", script]);
    await until("it has shed its output", () => readlinkSync(`/proc/${job.target_pid}/fd/1`) === "/dev/null");
    await killWorker(job);
    expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ status: "LOST" });
    const inside = ["unshare", "--pid", "--fork", "--mount-proc", BINARY];
    const clean = await box.execute([...inside, "clean", "--keep", "0"]);
    expect(JSON.parse(clean.stdout)).toMatchObject({ deleted: 0, errors: 0, stray_files: 0 });
    expect(clean.stderr).toMatch(/job \S+ is kept: .*clean cannot see from here .*; run clean where it ran/);
    await expectGuarded(box, [job.target_pid!], () => gate.open());
  },
);

testWith(["root"], "a command that runs as another user is found", async () => {
  await using box = new Sandbox();
  const gate = new Gate(box);
  chmodSync(box.directory, 0o755);
  chmodSync(gate.path, 0o666);
  const job = await box.json([
    ...["start", "--run-key", "k", "--", "setpriv", "--reuid=65534", "--clear-groups"],
    ...["sh", "-c", gate.wait],
  ]);
  await killWorker(job);
  await expectGuarded(box, [job.target_pid!], () => gate.open());
});
