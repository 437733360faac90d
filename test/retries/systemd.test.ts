/** The attempts of a run in one systemd scope: limits hold for each, and a stop of the scope ends the run. */
import { expect, setDefaultTimeout } from "bun:test";
import type { AttemptAnswer } from "../support/attempts.ts";
import { testWith } from "../support/needs.ts";
import { Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { SystemdMachine } from "../support/systemd.ts";

setDefaultTimeout(TIMEOUT_MS);

testWith(
  ["systemd"],
  "all attempts are in the scope of the first, and its stop ends the waiting",
  async () => {
    await using box = new Sandbox();
    await using machine = await SystemdMachine.boot(box, ["memory"]);
    const attempts = async () =>
      (await machine.json<AttemptAnswer[]>(["status", "--run-key", "k", "--all"])).reverse();
    const options = ["--retries", "3", "--retry-delay", "0", "--property", "MemoryMax=64M"];
    const script = "cat /proc/self/cgroup /proc/self/oom_score_adj; exit 3";
    await machine.json(["start", "--run-key", "k", "--sync", ...options, "--", "sh", "-c", script]);
    const [first, ...later] = await attempts();
    expect(later).toHaveLength(3);
    const output = await machine.must(["cat", first!.stdout_file]);
    expect(output).toContain(`/orchesjob-${first!.job_id}.scope`);
    for (const job of later) {
      expect((job as unknown as { unit: string }).unit).toBe(`orchesjob-${first!.job_id}.scope`);
      expect(await machine.must(["cat", job.stdout_file])).toBe(output);
    }

    const waiting = ["start", "--run-key", "w", "--scope", "always", "--retries", "1", "--retry-delay", "1h"];
    await machine.json([...waiting, "--", "false"]);
    const seen = () => machine.json<AttemptAnswer>(["status", "--run-key", "w"]);
    const second = await until("the second attempt waits", async () => {
      const job = await seen();
      return job.attempt_no === 2 && job;
    });
    await machine.must(["systemctl", "stop", `orchesjob-${second.retry_of_job_id}.scope`]);
    expect(await seen()).toMatchObject({ status: "FAILED", failure: "not_launched", attempt_no: 2 });
  },
);
