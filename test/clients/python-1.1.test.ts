/** A script that was written for the Python orchesjob 1.1 finds its commands, options and fields, also in a directory of 1.1. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { unpackPython } from "../support/python-home.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

interface Answer extends JobAnswer {
  readonly rerun_reason: string | null;
}

test("start --strict, unlock, rerun and abort have the fields of 1.1", async () => {
  await using box = new Sandbox();
  unpackPython(box, "1.1.0");
  const strict = [
    "start",
    "--run-key",
    "daily-import",
    "--strict",
    "--sync",
    "--start-timeout",
    "2.5",
    "--",
    "true",
  ];
  // 1.1 had unlocked this key, and not used the permission yet.
  const first = await box.json<Answer>(strict);
  expect(first).toMatchObject({ accepted: true, existing: false, mode: "sync", strict: true });
  expect(first).toMatchObject({ strict_override_used: true, attempt_no: 2, rerun_reason: "data fix" });
  const again = { existing: true, job_id: first.job_id, strict_override_used: false };
  expect(await box.json<Answer>(strict)).toMatchObject(again);
  const unlock = ["unlock", "--run-key", "daily-import", "--reason", "late data", "--ttl", "1800"];
  expect(await box.json<object>(unlock)).toMatchObject({ unlocked: true, reason: "late data" });
  expect(await box.json<Answer>(strict)).toMatchObject({
    ...{ accepted: true, strict_override_used: true, attempt_no: 3 },
    ...{ rerun_of_job_id: first.job_id, rerun_reason: "late data" },
  });

  const words = ["rerun", "--run-key", "nightly-backup", "--reason", "disk error", "--start-timeout", "2.5"];
  const rerun = await box.json<Answer>([...words, "--sync"]);
  expect(rerun).toMatchObject({ rerun: true, strict: false, existing: false, mode: "sync", attempt_no: 5 });
  expect(rerun.rerun_reason).toBe("disk error");
  const plain = await box.json<Answer>(["start", "--run-key", "nightly-backup", "--", "sleep", "600"]);
  expect(plain).toMatchObject({ rerun_of_job_id: rerun.job_id, rerun_reason: null, attempt_no: 6 });
  const abort = ["abort", "--job-id", plain.job_id, "--reason", "by hand", "--grace-seconds", "0.5"];
  expect(await box.json(abort)).toMatchObject({ status: "CANCELLED" });
});

test("clean takes the options of 1.1 in all their combinations", async () => {
  await using box = new Sandbox();
  const { jobs } = unpackPython(box, "1.1.0");
  const finished = jobs.filter(({ finished_at: at }) => at !== null);
  const clean = (...words: readonly string[]) =>
    box.json<{ deleted: number; items: { run_key: string; job_id: string; selected_at: number }[] }>([
      "clean",
      ...words,
    ]);
  // The first command upgrades the directory; the job that ran is lost by now, and finished as well.
  await box.run(["status", "--run-key", "was-running"]);
  const day = ["--after", "2026-11-23", "--before", "2026-11-26"];
  const dry = await clean(...day, "--dry-run");
  expect(dry).toMatchObject({ deleted: finished.length, errors: 0, dry_run: true });
  expect(dry.items.map(({ selected_at: at }) => at)).toEqual(
    finished.map(({ finished_at: at }) => Number(at)).sort(),
  );
  const backups = finished.filter(({ run_key: key }) => key === "nightly-backup");
  const [oldest] = backups;
  expect((await clean("--job-id", oldest!.job_id)).items).toMatchObject([{ job_id: oldest!.job_id }]);
  expect(await clean("--run-key", "nightly-backup", "--before", "2026-01-01")).toMatchObject({ deleted: 0 });
  expect(await clean("--run-key", "signalled", "--after", "2026-01-01")).toMatchObject({ deleted: 1 });
  expect(await clean("--run-key", "nightly-backup", "--all")).toMatchObject({ deleted: backups.length - 1 });
  expect(await clean(...day)).toMatchObject({
    deleted: finished.length - backups.length - 1,
    dry_run: false,
  });
  expect(await clean("--all")).toMatchObject({ deleted: 1, items: [{ run_key: "was-running" }] });
  expect(await clean("--all")).toMatchObject({ deleted: 0, errors: 0 });
});
