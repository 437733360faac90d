/** `--strict`: one job per run key, ever; `unlock` allows exactly one more. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expectFailure } from "../support/expect.ts";
import { BINARY, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const STRICT = [
  "start",
  "--run-key",
  "k",
  "--strict",
  "--sync",
  "--",
  "sh",
  "-c",
  "echo ran >> runs; exit 3",
];

function runs(box: Sandbox): number {
  return readFileSync(join(box.directory, "runs"), "utf8").split("\n").length - 1;
}

interface Permission {
  readonly run_key: string;
  readonly allowed_at: string;
  readonly expires_at: string | null;
  readonly reason: string | null;
}

const unlock = (box: Sandbox, ...more: readonly string[]) =>
  box.json<Permission>(["unlock", "--run-key", "k", ...more]);

test("the first start runs, every later one gets that job, whatever its result", async () => {
  await using box = new Sandbox();
  const first = await box.json(STRICT);
  expect(first).toMatchObject({ accepted: true, status: "FAILED" });
  for (let round = 0; round < 3; round++)
    expect(await box.json(STRICT)).toMatchObject({ accepted: false, existing: true, job_id: first.job_id });
  expect(runs(box)).toBe(1);
});

test("ten at once run it once", async () => {
  await using box = new Sandbox();
  const answers = await Promise.all(Array.from({ length: 10 }, () => box.json(STRICT)));
  expect(new Set(answers.map((answer) => answer.job_id)).size).toBe(1);
  expect(runs(box)).toBe(1);
});

describe("unlock", () => {
  test("allows exactly one more, and says what it has allowed", async () => {
    await using box = new Sandbox();
    await box.json(STRICT);
    const permission = await unlock(box, "--reason", "input was corrected");
    expect(permission).toMatchObject({
      unlocked: true,
      run_key: "k",
      expires_at: null,
      reason: "input was corrected",
    });
    expect(Math.abs(Date.parse(permission.allowed_at) - Date.now())).toBeLessThan(60_000);
    const second = await box.json(STRICT);
    const reason = { rerun_reason: "input was corrected" };
    expect(second).toMatchObject({ accepted: true, attempt_no: 2, strict_override_used: true, ...reason });
    // Asked again, this call has used nothing, but the job still says why it ran.
    const again = { accepted: false, job_id: second.job_id, strict_override_used: false, ...reason };
    expect(await box.json(STRICT)).toMatchObject(again);
    expect(runs(box)).toBe(2);
  });

  test("ten starts at once use it once", async () => {
    await using box = new Sandbox();
    await box.json(STRICT);
    await unlock(box);
    const answers = await Promise.all(Array.from({ length: 10 }, () => box.json(STRICT)));
    expect(answers.filter((answer) => answer.accepted).length).toBe(1);
    expect(await box.json(STRICT)).toMatchObject({ accepted: false });
    expect(runs(box)).toBe(2);
  });

  test("given ten times before it is used, it still allows one", async () => {
    await using box = new Sandbox();
    await box.json(STRICT);
    await Promise.all(Array.from({ length: 10 }, () => unlock(box)));
    for (let round = 0; round < 3; round++) await box.json(STRICT);
    expect(runs(box)).toBe(2);
  });

  test("given again after it was used, it allows one more", async () => {
    await using box = new Sandbox();
    await box.json(STRICT);
    for (let round = 0; round < 2; round++) {
      await unlock(box);
      await box.json(STRICT);
      await box.json(STRICT);
    }
    expect(runs(box)).toBe(3);
  });

  test("with a --ttl allows nothing once that time is over", async () => {
    await using box = new Sandbox();
    await box.json(STRICT);
    const { allowed_at: from, expires_at: to } = await unlock(box, "--ttl", "1s");
    expect(Date.parse(to!) - Date.parse(from)).toBe(1_000);
    await until("it has expired", () => Date.now() > Date.parse(to!) + 10);
    expect(await box.json(STRICT)).toMatchObject({ accepted: false });
    await unlock(box, "--ttl", "1d");
    expect(await box.json(STRICT)).toMatchObject({ accepted: true });
    expect(runs(box)).toBe(2);
  });

  test("is not used up by a start that gets an active job", async () => {
    await using box = new Sandbox();
    await box.json(STRICT);
    await unlock(box);
    await box.json(["start", "--run-key", "k", "--", "sleep", "600"]);
    expect(await box.json(STRICT.filter((word) => word !== "--sync"))).toMatchObject({ status: "RUNNING" });
    await box.json(["cancel", "--run-key", "k"]);
    expect(await box.json(STRICT)).toMatchObject({ accepted: true });
  });

  test("is for its own key alone", async () => {
    await using box = new Sandbox();
    await box.json(STRICT);
    await box.json(["start", "--run-key", "other", "--sync", "--", "true"]);
    await box.json(["unlock", "--run-key", "other"]);
    expect(await box.json(STRICT)).toMatchObject({ accepted: false });
  });

  test("of a key that never ran is refused, because a mistyped one would stay unnoticed", async () => {
    await using box = new Sandbox();
    await box.json(STRICT);
    expectFailure(await box.run(["unlock", "--run-key", "K"]), 3, '"K" has never run');
  });
});

test("a key whose history was cleaned is still not free: exit 4, with a command that works", async () => {
  await using box = new Sandbox();
  const { job_id: id } = await box.json(STRICT);
  await box.run(["clean", "--before", "2100-01-01"]);
  const refused = await box.run(STRICT);
  expectFailure(refused, 4, id);
  expect(refused.stderr).toContain("orchesjob unlock --run-key k");
  await unlock(box);
  expect(await box.json(STRICT)).toMatchObject({ accepted: true, existing: false });
  expect(await box.json(STRICT)).toMatchObject({ accepted: false });
  expect(runs(box)).toBe(2);
});

describe("rerun of a strict key", () => {
  const RERUN = ["rerun", "--run-key", "k", "--sync"];

  test("is refused with the command that allows it; that is used up; and the key stays strict", async () => {
    await using box = new Sandbox();
    const first = await box.json(STRICT);
    const refused = await box.run(RERUN);
    expectFailure(refused, 4, first.job_id);
    expect(refused.stderr).toEndWith("; to run it once more: orchesjob unlock --run-key k\n");
    expectFailure(await box.run(["rerun", "--job-id", first.job_id]), 4, "strict run key");
    expect(runs(box)).toBe(1);
    await unlock(box);
    const again = await box.json(RERUN);
    expect(again).toMatchObject({ accepted: true, attempt_no: 2, rerun_of_job_id: first.job_id });
    expectFailure(await box.run(RERUN), 4, again.job_id);
    expect(await box.json(STRICT)).toMatchObject({ accepted: false, job_id: again.job_id });
    expect(runs(box)).toBe(2);
  });

  test("has its own reason, or else that of the permission", async () => {
    await using box = new Sandbox();
    await box.json(STRICT);
    await unlock(box, "--reason", "input was corrected");
    const own = await box.json([...RERUN, "--reason", "asked by finance"]);
    expect(own).toMatchObject({ rerun: true, strict_override_used: true, rerun_reason: "asked by finance" });
    await unlock(box, "--reason", "input was corrected");
    expect(await box.json(RERUN)).toMatchObject({ rerun_reason: "input was corrected" });
  });

  test("ten at once use a permission once", async () => {
    await using box = new Sandbox();
    await box.json(STRICT);
    await unlock(box);
    const results = await Promise.all(Array.from({ length: 10 }, () => box.run(RERUN)));
    expect(results.map((result) => result.code).sort()).toEqual([0, ...Array<number>(9).fill(4)]);
    expect(runs(box)).toBe(2);
  });

  test("the message about a key that begins with - has a command that works", async () => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key=-it's", "--strict", "--sync", "--", "true"]);
    const { stderr } = await box.run(["rerun", "--run-key=-it's"]);
    const line = stderr.slice(stderr.lastIndexOf("orchesjob unlock")).replace("orchesjob", BINARY);
    expect((await box.execute(["sh", "-c", line])).code).toBe(0);
    expect((await box.run(["rerun", "--run-key=-it's", "--sync"])).code).toBe(0);
  });

  test("a rerun does not use up a permission of a key that never was strict", async () => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
    await unlock(box);
    expect(await box.json(RERUN)).toMatchObject({ accepted: true });
    expect(await box.json(STRICT)).toMatchObject({ accepted: true });
    expect(await box.json(STRICT)).toMatchObject({ accepted: false });
  });
});

test("a key that ran without --strict has run", async () => {
  await using box = new Sandbox();
  const first = await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
  expect(await box.json(STRICT)).toMatchObject({
    accepted: false,
    job_id: first.job_id,
    command_matches: false,
  });
  expect(existsSync(join(box.directory, "runs"))).toBe(false);
});

test("start answers whether it was strict itself, also with an existing job", async () => {
  await using box = new Sandbox();
  const plain = STRICT.filter((word) => word !== "--strict");
  expect(await box.json(STRICT)).toMatchObject({ strict: true, existing: false });
  expect(await box.json(STRICT)).toMatchObject({ strict: true, existing: true });
  expect(await box.json(plain)).toMatchObject({ strict: false, existing: false });
  const active = ["start", "--run-key", "other", "--", "sleep", "600"];
  expect(await box.json(active)).toMatchObject({ strict: false, existing: false });
  expect(await box.json([...active.slice(0, 3), "--strict", ...active.slice(3)])).toMatchObject({
    ...{ strict: true, existing: true },
  });
  await box.json(["cancel", "--run-key", "other"]);
  // A rerun is never strict, whatever the key is.
  await box.json(["unlock", "--run-key", "k"]);
  expect(await box.json(["rerun", "--run-key", "k"])).toMatchObject({ strict: false, existing: false });
  await box.json(["wait", "--run-key", "k"]);
  // After the fields of 1.0.0, where old clients do not look for it.
  const names = Object.keys(await box.json(STRICT));
  expect(names.indexOf("strict")).toBeGreaterThan(names.indexOf("finished_at"));
});
