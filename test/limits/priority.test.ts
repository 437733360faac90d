/** `--nice` and `--io-class`: the command has them from its first instruction, and the worker keeps its own. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { Gate } from "../support/gate.ts";
import { finishedJob } from "../support/jobs.ts";
import { statusOf } from "../support/processes.ts";
import { BINARY, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/** Field 19 of proc(5), /proc/PID/stat, for each thread. */
const niceness = (pid: number) =>
  Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ")[16]);

test("the command and its children have the niceness and the I/O class, and the worker does not", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `nice; ionice -p $$; sh -c nice; ${gate.wait}`;
  const priority = ["--nice", "7", "--io-class", "best-effort:6"];
  const job = await box.json(["start", "--run-key", "k", ...priority, "--", "sh", "-c", script]);
  expect(job).toMatchObject({ nice: 7, io_class: "best-effort:6" } as object);
  expect(niceness(job.target_pid!)).toBe(7);
  expect(niceness(job.worker_pid!)).toBe(0);
  gate.open();
  const ended = await finishedJob(box, "k");
  expect(ended.status).toBe("SUCCEEDED");
  expect(readFileSync(job.stdout_file, "utf8")).toBe("7\nbest-effort: prio 6\n7\n");
  await box.json(["rerun", "--run-key", "k", "--sync"]);
  expect(readFileSync((await finishedJob(box, "k")).stdout_file, "utf8")).toBe("7\nbest-effort: prio 6\n7\n");
  const missing = ["run", "--run-key", "m", "--nice", "1", "--io-class", "idle", "--"];
  expect(await box.run([...missing, "no-such-command"])).toMatchObject({ code: 127 });
  expect(await box.run([...missing, "sh", "-c", "exit 7"])).toMatchObject({ code: 7 });
});

test("without permission nothing runs, and the job says why", async () => {
  await using box = new Sandbox();
  // As an ordinary user is; root, too, without these capabilities.
  const isRoot = process.getuid!() === 0;
  const without = isRoot ? ["setpriv", "--bounding-set", "-sys_nice,-sys_admin"] : [];
  for (const [option, why] of [
    [
      "--nice=-5",
      "cannot set the niceness -5 of --nice: permission denied; less than the caller's needs root",
    ],
    [
      "--io-class=realtime:0",
      "cannot set the I/O class of --io-class: operation not permitted; realtime needs",
    ],
  ] as const) {
    const words = ["start", "--sync", "--run-key", "k", option, "--", "echo", "it", "ran"];
    const run = await box.execute([...without, BINARY, ...words]);
    expect(run.stderr).toContain(why);
    const job = await statusOf(box, "k");
    expect(job).toMatchObject({ status: "FAILED", failure: "not_launched", exit_code: -1 });
    expect(job.error).toStartWith(why);
    expect(statSync(job.stdout_file).size).toBe(0);
  }
});
