/**
 * A file system without locks is refused with a clear error: orchesjob runs nothing if it cannot prove that a worker
 * lives.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { testWith } from "../support/needs.ts";
import { BINARY, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/** Words in front of a command that make its calls fail, as strace's option `inject` has them. */
function failing(calls: string, error: string): readonly string[] {
  return ["strace", "-qq", "-o", "/dev/null", "-e", `trace=${calls}`, "-e", `inject=${calls}:error=${error}`];
}

const MISSING = [
  ["locks", failing("flock", "ENOLCK")],
  ["locks (EOPNOTSUPP)", failing("flock", "EOPNOTSUPP")],
  ["FIFOs", failing("?mknod,mknodat", "EPERM")],
] as const;

for (const [what, strace] of MISSING) {
  testWith(["strace"], `start refuses a file system without ${what}, and leaves nothing behind`, async () => {
    await using box = new Sandbox();
    const marker = join(box.directory, "ran");
    const start = ["start", "--run-key", "k", "--sync", "--", "touch", marker];
    const refused = await box.execute([...strace, BINARY, ...start]);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toMatch(
      /^orchesjob: cannot (lock|create) .*: [a-z ]+; the file system must support flock\(2\) and FIFOs: set ORCHESJOB_HOME to [^\n]*\n$/,
    );
    expect(readdirSync(join(box.home, "locks"))).toEqual([]);
    expect(readdirSync(join(box.home, "logs"))).toEqual([]);
    expect((await box.run(["status", "--run-key", "k"])).code).toBe(3);
    await until("no worker is left", () => box.processes().length === 0);
    expect(existsSync(marker)).toBe(false);
    // When locks work again the key is free.
    expect((await box.json(start)).status).toBe("SUCCEEDED");
  });
}

for (const error of ["ENOLCK", "EOPNOTSUPP"]) {
  testWith(
    ["strace"],
    `a job whose liveness cannot be tested (${error}) is an error, never LOST`,
    async () => {
      await using box = new Sandbox();
      await box.json(["start", "--run-key", "k", "--", "sleep", "1000"]);
      for (const args of [
        ["status", "--run-key", "k"],
        ["start", "--run-key", "k", "--", "true"],
      ]) {
        const refused = await box.execute([...failing("flock", error), BINARY, ...args]);
        expect(refused).toMatchObject({ code: 1, stdout: "" });
        expect(refused.stderr).toContain("orchesjob: cannot lock ");
      }
      const job = await box.json(["status", "--run-key", "k"]);
      expect(job.status).toBe("RUNNING");
      process.kill(job.worker_pid!, "SIGTERM");
      await until("its end", async () => (await box.json(["status", "--run-key", "k"])).signal === "SIGTERM");
    },
  );
}
