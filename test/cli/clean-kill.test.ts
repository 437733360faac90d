/** A clean that is killed at any point leaves nothing that the next clean does not finish, and loses no other job. */
import { expect, setDefaultTimeout } from "bun:test";
import { readdirSync } from "node:fs";
import { testWith } from "../support/needs.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const CLEAN = ["clean", "--before"];

for (const call of ["unlink", "pwrite64"]) {
  testWith(["strace"], `clean killed at every ${call}`, async () => {
    let visited = 0;
    for (let survived = false; !survived;) {
      await using box = new Sandbox();
      for (const key of ["a", "b"])
        await box.json(["start", "--run-key", key, "--sync", "--", "sh", "-c", "echo o; echo e >&2"]);
      const kept = await box.json(["start", "--run-key", "kept", "--sync", "--", "echo", "o"]);
      const words = [...CLEAN, kept.finished_at!];
      const inject = `inject=${call}:signal=SIGKILL:when=${visited + 1}`;
      const strace = ["strace", "-qq", "-o", "/dev/null", "-e", `trace=${call}`, "-e", inject];
      const result = await box.execute([...strace, BINARY, ...words]);
      survived = result.code === 0;
      if (!survived) visited += 1;

      const left = await box.json<{ deleted: number; errors: number }>(words);
      expect(left.errors).toBe(0);
      expect(left.deleted).toBeLessThanOrEqual(2);
      expect(readdirSync(`${box.home}/logs`).sort()).toEqual([
        `${kept.job_id}.stderr`,
        `${kept.job_id}.stdout`,
      ]);
      expect(await box.json<JobAnswer>(["status", "--run-key", "kept"])).toMatchObject({
        job_id: kept.job_id,
      });
      for (const key of ["a", "b"]) expect((await box.run(["status", "--run-key", key])).code).toBe(3);
    }
    console.log(`clean was killed at ${visited} points of ${call}`);
    // At least two logs of two jobs.
    if (call === "unlink") expect(visited).toBeGreaterThanOrEqual(4);
  });
}
