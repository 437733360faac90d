/** Files of the state directory that somebody deletes while jobs run. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, linkSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Gate, startWaiting } from "../support/gate.ts";
import { isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

test("a job whose lock file was deleted can still be cancelled, and cancel says so", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  rmSync(join(box.home, "locks", job.job_id));
  const cancelled = await box.json<JobAnswer & { survivors: number[] }>(["cancel", "--run-key", "k"]);
  expect(cancelled).toMatchObject({ status: "CANCELLED", survivors: [] });
  expect(isAlive(job.target_pid!)).toBe(false);
  await until("the worker ends", () => !isAlive(job.worker_pid!));
  expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ status: "CANCELLED" });
});

test("while a job runs whose database was deleted, nothing starts and no look-up says that nothing runs; with the database back all is as before", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  const away = join(box.directory, "away");
  const names = ["orchesjob.db", "orchesjob.db-wal", "orchesjob.db-shm"].filter((name) =>
    existsSync(join(box.home, name)),
  );
  for (const name of names) renameSync(join(box.home, name), `${away}.${name}`);
  const refused = await box.run(["start", "--run-key", "k", "--", "true"]);
  expect(refused).toMatchObject({ code: 4, stdout: "" });
  const message = `orchesjob.db is gone, but jobs that it knew still run (${job.job_id})`;
  expect(refused.stderr).toContain(message);
  for (const asked of [
    ["status", "--running"],
    ["status", "--run-key", "k"],
    ["list"],
    ["logs", "--job-id", job.job_id],
    ["cancel", "--run-key", "k"],
    ["clean", "--before", "2020-01-01"],
  ]) {
    const answer = await box.run(asked);
    expect([asked, answer]).toMatchObject([asked, { code: 4, stdout: "" }]);
    expect(answer.stderr).toContain(message);
  }
  for (const name of names) renameSync(`${away}.${name}`, join(box.home, name));
  expect(await box.json(["start", "--run-key", "k", "--", "true"])).toMatchObject({
    existing: true,
    job_id: job.job_id,
  });
  gate.open();
  expect(await box.json(["wait", "--run-key", "k"])).toMatchObject({ status: "SUCCEEDED" });
});

test.each([
  ["a symbolic link to a file", (lock: string, other: string) => symlinkSync(other, lock)],
  ["a hard link to a file", (lock: string, other: string) => linkSync(other, lock)],
])(
  "a lock file that was replaced by %s: cancel ends the job, and the file keeps its content",
  async (_, put) => {
    await using box = new Sandbox();
    const job = await box.json(["start", "--run-key", "k", "--", "sleep", "600"]);
    const other = join(box.directory, "other");
    writeFileSync(other, "content");
    const lock = join(box.home, "locks", job.job_id);
    rmSync(lock);
    put(lock, other);
    expect(await box.json(["cancel", "--run-key", "k"])).toMatchObject({ status: "CANCELLED" });
    expect(readFileSync(other, "utf8")).toBe("content");
  },
);
