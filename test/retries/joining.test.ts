/** Callers that join a run with several attempts late, name its first attempt, or ask for it again. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { attemptsOf } from "../support/attempts.ts";
import { Gate } from "../support/gate.ts";
import { jobThat } from "../support/jobs.ts";
import { Reading } from "../support/reading.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

test("run shows all attempts from the first byte, joined late, asked again, or after a clean of the first", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `n=$ORCHESJOB_ATTEMPT; echo "out $n"; echo "err $n" >&2; test $n -ge 3 && ${gate.wait} && exit 5`;
  const retries = ["--retries", "2", "--retry-delay", "0", "--retry-on", "1"];
  const words = ["-k", "k", "--request-id", "r", ...retries, "--", "sh", "-c", script];
  await box.json(["start", ...words]);
  await jobThat(box, "k", "runs its third attempt", (job) => job.attempt_no === 3 && job.target_pid !== null);
  const late = box.spawn([BINARY, "run", ...words]);
  const stdout = new Reading(late.stdout);
  await stdout.until("out 3\n");
  gate.open();
  expect([await stdout.all(), await late.exited]).toEqual(["out 1\nout 2\nout 3\n", 5]);
  const stderr = await new Response(late.stderr).text();
  const [first, second] = await attemptsOf(box);
  const again = await box.run(["run", ...words]);
  expect(again).toMatchObject({ code: 5, stdout: "out 1\nout 2\nout 3\n" });
  expect(again.stderr).toBe(stderr);
  expect(stderr.replaceAll(/^orchesjob: .*\n/gm, "")).toBe("err 1\nerr 2\nerr 3\n");
  await box.json(["clean", "--job-id", first!.job_id]);
  const rest = await box.run(["run", ...words]);
  expect(rest).toMatchObject({ code: 5, stdout: "out 2\nout 3\n" });
  expect(rest.stderr).toStartWith(
    "orchesjob: the output of the first attempt is missing: clean has deleted it\n",
  );
  await box.json(["clean", "k#3"]);
  const cut = await box.run(["attach", "--job-id", second!.job_id]);
  expect(cut).toMatchObject({ code: 125, stdout: "out 2\n" });
  expect(cut.stderr).toMatch(
    /orchesjob: job \S+ has failed, and attempt \S+ followed it, which clean has deleted: how/,
  );
});

test("clean keeps the attempts of a run that goes on, so each of their ids still means the run", async () => {
  await using box = new Sandbox();
  await box.json(["start", "-k", "k", "--sync", "--", "true"]);
  await box.json(["start", "-k", "k", "--retries", "1", "--retry-delay", "1h", "--", "false"]);
  await jobThat(box, "k", "waits for its next attempt", (job) => job.attempt_no === 3);
  const [old, first] = await attemptsOf(box);
  for (const words of [["--all"], ["--job-id", first!.job_id], ["k", "--status", "failed"]]) {
    const { stdout, stderr } = await box.run(["clean", ...words]);
    expect(JSON.parse(stdout)).toMatchObject({ deleted: words.includes("--all") ? 1 : 0, errors: 0 });
    expect(stderr).toContain("orchesjob: 1 job is kept: it is an attempt of a run that goes on\n");
  }
  expect(await box.run(["status", "--job-id", old!.job_id])).toMatchObject({ code: 3 });
  const cancelled = await box.json<JobAnswer>(["cancel", "--job-id", first!.job_id]);
  expect(cancelled).toMatchObject({ status: "CANCELLED", attempt_no: 3 });
  expect(await box.json<object>(["clean", "--all"])).toMatchObject({ deleted: 2 });
});
