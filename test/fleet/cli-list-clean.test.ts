/** What people see of all members, and what `clean` deletes in a fleet. */
import { expect, setDefaultTimeout } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { expectFailure } from "../support/expect.ts";
import { Fleet, type FleetAnswer, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { Proxy } from "../support/proxy.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { CTRL_C, onTerminal, plainLines } from "../support/terminal.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

async function finish(member: Sandbox, runKey: string): Promise<JobAnswer> {
  return member.json(["start", "--sync", "--run-key", runKey, "--", "true"]);
}

testWith(
  WITH_SERVER,
  "list --fleet has the jobs of all members, newest first; list has those of its own",
  async () => {
    await using fleet = await Fleet.create(await server());
    const [m1, m2] = await fleet.members(2);
    await finish(m1!, "a");
    await finish(m2!, "b");
    await m1!.json([
      "start",
      "--sync",
      "--run-key",
      "c",
      "--label",
      "team=a",
      "--label",
      "x=1",
      "--",
      "true",
    ]);
    await m1!.untilPublished();
    const all = await m2!.json<FleetAnswer[]>(["list", "--fleet"]);
    expect(all.map(({ run_key, member = null }): [string, string | null] => [run_key, member])).toEqual([
      ["c", "m1"],
      ["b", null],
      ["a", "m1"],
    ]);
    expect(all[0]!.as_of).toBeString();
    expect(all[1]).toMatchObject({ as_of: null });
    const keys = async (words: readonly string[]) =>
      (await m2!.json<JobAnswer[]>(["list", ...words])).map(({ run_key }) => run_key);
    expect(await keys(["--fleet", "--limit", "2"])).toEqual(["c", "b"]);
    expect(await keys(["--fleet", "--run-key-prefix", "a"])).toEqual(["a"]);
    expect(await keys(["--fleet", "--status", "FAILED"])).toEqual([]);
    expect(await keys(["--fleet", "--label", "team=a"])).toEqual(["c"]);
    expect(await keys(["--fleet", "--label", "team=a", "--label", "x=2"])).toEqual([]);
    expect(await keys([])).toEqual(["b"]);
  },
);

testWith(
  WITH_SERVER,
  "ps --fleet and list --fleet --watch have the active jobs of all members first; ps, then those that ended last",
  async () => {
    await using fleet = await Fleet.create(await server());
    const [m1, m2] = await fleet.members(2);
    await using gate = new Gate(m1!);
    await startWaiting(m1!, "active", gate);
    await using long = new Gate(m1!, "long");
    await startWaiting(m1!, "long", long);
    await finish(m2!, "short");
    await finish(m1!, "other");
    // It was accepted before them, and ends after them.
    long.open();
    await m1!.json(["wait", "long"]);
    await m1!.untilPublished();
    const keys = async (member: Sandbox, words: readonly string[]) =>
      (await member.json<JobAnswer[]>(["ps", ...words])).map(({ run_key }) => run_key);
    expect(await keys(m2!, ["--fleet"])).toEqual(["active", "long", "other", "short"]);
    expect(await keys(m2!, ["--fleet", "-n", "2"])).toEqual(["active", "long"]);
    expect(await keys(m2!, [])).toEqual(["short"]);
    const screen = onTerminal(m2!, ["list", "--fleet", "--watch"]);
    await until("the job that runs elsewhere is on top", () =>
      /^RUN KEY .*\nactive .*RUNNING/m.test(plainLines(screen.shown()).join("\n")),
    );
    screen.type(CTRL_C);
    expect(await screen.ended()).toBe(0);
    gate.open();
    await m1!.json(["wait", "active"]);
  },
);

testWith(
  WITH_SERVER,
  "without the registry, list and status --running answer, and list --fleet does not",
  async () => {
    await using fleet = await Fleet.create(await server());
    const [m1] = await fleet.members(1);
    await finish(m1!, "a");
    expect(await m1!.json<JobAnswer[]>(["list"])).toMatchObject([{ run_key: "a" }]);
    expect(await m1!.json<JobAnswer[]>(["status", "--running"])).toEqual([]);
    const running = await server();
    await running.stop("immediate");
    for (const command of ["list", "ps"])
      expectFailure(await m1!.run([command, "--fleet"]), 5, /cannot ask the registry of the fleet/);
    expectFailure(
      await m1!.run(["clean", "--fleet", "--keep", "1"]),
      5,
      /cannot ask the registry of the fleet/,
    );
    await running.start();
    // What asks nobody does not even read the membership.
    writeFileSync(`${m1!.home}/fleet.json`, "damaged");
    expect(await m1!.json<JobAnswer[]>(["list"])).toMatchObject([{ run_key: "a" }]);
    expect(await m1!.json<JobAnswer[]>(["status", "--running"])).toEqual([]);
    expectFailure(await m1!.run(["list", "--fleet"]), 4, /damaged/);
  },
);

testWith(WITH_SERVER, "a table has the hosts only if there is more than one", async () => {
  await using fleet = await Fleet.create(await server());
  const [m1, m2] = await fleet.members(2);
  await finish(m1!, "k");
  // Before that, a start of another member waits for this job, and starts none.
  await m1!.untilPublished();
  await finish(m2!, "k");
  const table = async (words: readonly string[]) => (await m2!.run([...words, "--format", "table"])).stdout;
  // Both members are on this host.
  expect(await table(["list", "--fleet"])).not.toContain("HOST");
  await fleet.sql(
    "update orchesjob.sessions set host = 'far-away' where member_id in " +
      "(select member_id from orchesjob.member_records where name = 'm1')",
  );
  for (const words of [
    ["list", "--fleet"],
    ["status", "--all", "--run-key", "k"],
  ]) {
    expect(await table(words)).toMatch(/^RUN KEY +HOST +ATTEMPT/);
    expect(await table(words)).toContain("far-away");
  }
  expect(await table(["list"])).not.toContain("HOST");
});

testWith(WITH_SERVER, "clean --fleet deletes from the registry what its limits allow", async () => {
  await using fleet = await Fleet.create(await server());
  const [m1, m2] = await fleet.members(2);
  for (const key of ["a", "a", "a", "b"]) await finish(m1!, key);
  await using gate = new Gate(fleet);
  await startWaiting(m1!, "a", gate);
  await m1!.untilPublished();
  const clean = async (words: readonly string[]) =>
    (await m2!.json<{ deleted: number }>(["clean", "--fleet", ...words])).deleted;
  expect(await clean(["--older-than", "1d"])).toBe(0);
  const dry = await m2!.run(["clean", "--fleet", "--keep", "2", "--dry-run"]);
  expect(JSON.parse(dry.stdout)).toEqual({ deleted: 1, dry_run: true });
  expect(dry.stderr).toMatch(/^orchesjob: Would delete job \S+ \(a, SUCCEEDED\)\n$/);
  expect(await fleet.registered("a")).toHaveLength(4);
  expect(await clean(["--keep", "2"])).toBe(1);
  // Of key `a` two finished jobs are left beside the active one.
  expect((await fleet.registered("a")).map(({ status }) => status)).toEqual([
    "RUNNING",
    "SUCCEEDED",
    "SUCCEEDED",
  ]);
  expect(await clean(["--before", "2999-01-01"])).toBe(3);
  expect((await fleet.registered("a")).map(({ status }) => status)).toEqual(["RUNNING"]);
  // Their host still has them.
  expect(await m1!.json<JobAnswer[]>(["list"])).toHaveLength(5);
  gate.open();
  await m1!.run(["wait", "--run-key", "a"]);
});

testWith(WITH_SERVER, "clean --fleet counts what it has deleted, though the answer is lost", async () => {
  await using fleet = await Fleet.create(await server());
  using proxy = new Proxy(fleet);
  const member = fleet.candidate("m1");
  await member.join([], proxy.url);
  for (const key of ["a", "a", "b"]) await finish(member, key);
  await member.untilPublished();
  proxy.arm("after", 1, "orchesjob.clean(");
  expect<unknown>(await member.json(["clean", "--fleet", "--keep", "0"])).toMatchObject({ deleted: 3 });
  expect(proxy.hit).toContain("orchesjob.clean(");
  expect(await fleet.registered("a")).toEqual([]);
});

testWith(WITH_SERVER, "clean --fleet deletes many jobs in several batches", async () => {
  await using fleet = await Fleet.create(await server());
  const [m1] = await fleet.members(1);
  await finish(m1!, "a");
  await m1!.untilPublished();
  await fleet.sql(
    `insert into orchesjob.job_records (job_id, run_key, fencing_token, attempt_no, status, holds_key, member_id, session_id,
      on_partition, change, job)
    select 'many-' || n, 'many', n, n, status, holds_key, member_id, session_id, on_partition, change, job
      from orchesjob.job_records, generate_series(1, 2500) n`,
  );
  // All have ended at the same time, so that each batch has to go on within it.
  const clean = (keep: number) => m1!.json(["clean", "--fleet", "--keep", String(keep)]);
  expect<unknown>(await clean(2500)).toMatchObject({ deleted: 0 });
  expect<unknown>(await clean(100)).toMatchObject({ deleted: 2400 });
  expect<unknown>(await clean(0)).toMatchObject({ deleted: 101 });
});

testWith(
  WITH_SERVER,
  "clean keeps a job with its logs until the registry has heard of it, and says so",
  async () => {
    await using fleet = await Fleet.create(await server());
    const [m1] = await fleet.members(1);
    const job = await finish(m1!, "a");
    await finish(m1!, "b");
    await m1!.untilPublished();
    const pid = await m1!.agent();
    process.kill(pid, "SIGSTOP");
    // As if it had changed since.
    await m1!.execute(["sqlite3", `${m1!.home}/orchesjob.db`, "update publications set published = 0"]);
    const first = await m1!.run(["clean", "--keep", "0"]);
    // One line, however many jobs there are.
    expect(first.stderr).toBe(
      "orchesjob: 2 jobs are kept: the registry of the fleet has yet to hear of them\n",
    );
    const answer = { deleted: 0, errors: 0, kept_unpublished: 2, items: [] };
    expect(JSON.parse(first.stdout)).toMatchObject(answer);
    expect(existsSync(job.stdout_file)).toBe(true);
    process.kill(pid, "SIGCONT");
    await m1!.untilPublished();
    expect(await m1!.json<{ deleted: number }>(["clean", "--keep", "0"])).toMatchObject({ deleted: 2 });
    expect(existsSync(job.stdout_file)).toBe(false);
  },
);

testWith([], "--fleet outside of a fleet, and with what it cannot do, is refused", async () => {
  await using box = new Sandbox();
  await finish(box, "a");
  for (const command of ["list", "ps"])
    expectFailure(await box.run([command, "--fleet"]), 3, /is in no fleet/);
  expectFailure(await box.run(["clean", "--fleet", "--keep", "1"]), 3, /is in no fleet/);
  expectFailure(await box.run(["clean", "--fleet"]), 2, /needs a limit/);
  expectFailure(await box.run(["clean", "--fleet", "--max-log-bytes", "1G"]), 2, /--max-log-bytes/);
});

testWith(WITH_SERVER, "an earlier run of a key is found on whichever member it ran", async () => {
  await using fleet = await Fleet.create(await server());
  const [m1, m2] = await fleet.members(2);
  const first = await finish(m1!, "k");
  await m1!.untilPublished();
  const second = await finish(m2!, "k");
  await m2!.untilPublished();
  for (const member of [m1!, m2!])
    for (const [number, { job_id: id }] of [first, second].entries()) {
      expect(await member.json(["status", `k#${number + 1}`])).toMatchObject({ job_id: id });
      expect(await member.json(["status", id])).toMatchObject({ job_id: id });
    }
  expectFailure(await m2!.run(["status", "k#3"]), 3, 'no run key or job id "k#3"');
  // As if both had had a job of this number before they joined.
  await fleet.sql(`update orchesjob.job_records set attempt_no = 2`);
  const result = await m2!.run(["status", "k", "--attempt", "2"]);
  expectFailure(result, 2, '2 jobs of run key "k" have the number 2');
  for (const { job_id: id } of [first, second]) expect(result.stderr).toContain(id);
});
