/** A job that fills the disk with its own output: the message says so, and following it helps. */
import { expect, setDefaultTimeout } from "bun:test";
import { spawnSync } from "bun";
import { mkdirSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { Gate } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

testWith(
  ["root"],
  "the log that has filled the disk is named, and emptying it lets everything continue",
  async () => {
    await using box = new Sandbox();
    // The hint's command is quoted for a shell.
    const home = join(box.directory, "the home of jobs");
    const env = { ORCHESJOB_HOME: home };
    mkdirSync(home, { mode: 0o700 });
    spawnSync(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", home]);
    try {
      await using gate = new Gate(box);
      const script = `cat /dev/zero; ${gate.wait}; echo the end`;
      const job = await box.json(["start", "--run-key", "k", "--", "sh", "-c", script], { env });
      await until("the disk is full", () => statfsSync(home).bavail === 0);
      const refused = await box.run(["start", "--run-key", "other", "--", "true"], { env });
      expect(refused).toMatchObject({ code: 1, stdout: "" });
      const advice =
        /^orchesjob: the largest log, \S+ MiB, is that of job (\S+), which still runs; .*: (truncate -s 0 '.+')$/m.exec(
          refused.stderr,
        );
      expect(advice?.[1]).toBe(job.job_id);
      expect((await box.execute(["sh", "-c", advice![2]!])).code).toBe(0);
      expect(await box.json(["start", "--run-key", "other", "--sync", "--", "true"], { env })).toMatchObject({
        status: "SUCCEEDED",
      });
      gate.open();
      expect(await box.json(["wait", "--run-key", "k"], { env })).toMatchObject({ status: "SUCCEEDED" });
      expect((await box.run(["logs", "--run-key", "k"], { env })).stdout).toBe("the end\n");
      await until("all workers end", () => box.processes().length === 0);
    } finally {
      spawnSync(["umount", "-l", home]);
    }
  },
);
