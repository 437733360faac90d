/** An upgrade that is killed at any of its writes leaves the old database whole, and the next command upgrades it. */
import { Database } from "bun:sqlite";
import { expect, setDefaultTimeout } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { testWith } from "../support/needs.ts";
import { PYTHON_VERSIONS, type PythonHome, unpackPython } from "../support/python-home.ts";
import { BINARY, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const CALLS = ["pwrite64", "write", "fsync", "ftruncate", "rename,renameat,renameat2", "fcntl"];

/** Expects the old database with every row as it was, or the new one with every job. */
function expectWhole(box: Sandbox, old: PythonHome): void {
  using database = new Database(join(box.home, "orchesjob.db"));
  const { user_version: version } = database.query("pragma user_version").get() as { user_version: number };
  const rows = database.query<unknown, []>("select * from jobs").all();
  if (version === 0) expect(rows).toEqual([...old.jobs]);
  expect(rows).toHaveLength(old.jobs.length);
}

for (const version of PYTHON_VERSIONS) {
  for (const call of CALLS) {
    testWith(["strace"], `${version}: killed at each ${call.split(",")[0]}`, async () => {
      let kills = 0;
      for (let when = 1; ; when += call === "fcntl" ? 4 : 1) {
        await using box = new Sandbox();
        const old = unpackPython(box, version);
        const result = await box.execute([
          ...["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${call}`],
          ...["-e", `inject=${call}:signal=SIGKILL:when=${when}`],
          ...[BINARY, "status", "--run-key", "nightly-backup"],
        ]);
        expectWhole(box, old);
        const next = await box.json<unknown[]>(["status", "--run-key", "nightly-backup", "--all"]);
        expect(next).toHaveLength(old.jobs.filter((job) => job.run_key === "nightly-backup").length);
        expect(existsSync(join(box.home, "orchesjob.db.python"))).toBe(true);
        // Ends with the first run that makes fewer calls.
        if (result.signal === null && result.code === 0) break;
        kills += 1;
      }
      expect(kills).toBeGreaterThan(0);
    });
  }
}
