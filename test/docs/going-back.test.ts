/** What docs/operations.md says about going back to an older version, typed as it stands there. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { Database } from "bun:sqlite";
import { readDocument } from "../support/console.ts";
import { join } from "node:path";
import { testWith } from "../support/needs.ts";
import { PYTHON_VERSIONS, unpackPython } from "../support/python-home.ts";
import { BINARY, type Finished, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/** Types a block of the section Upgrade, by its number. */
function type(box: Sandbox, nth: number): Promise<Finished> {
  const section = readDocument("docs/operations.md").split("\n## Upgrade\n")[1]!;
  const blocks = [...section.matchAll(/^```sh\n([\s\S]*?)^```/gm)];
  const script = blocks[nth]![1]!.replaceAll("/var/lib/orchesjob", box.home)
    .replaceAll("/root", box.directory)
    .replaceAll(/^orchesjob/gm, `'${BINARY}'`);
  return box.execute(["sh", "-c", script]);
}

testWith(["sqlite3"], "with the copy of the database the older version works again", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--run-key", "before", "--sync", "--", "true"]);
  expect(await type(box, 0)).toMatchObject({ code: 0, stderr: "" });
  await box.json(["start", "--run-key", "since", "--sync", "--", "true"]);
  // As a newer version leaves it when it ends without closing: part of what it wrote is in the write-ahead log.
  const newer = `
    const database = new (require("bun:sqlite").Database)("${box.home}/orchesjob.db");
    database.run("pragma wal_checkpoint(truncate)");
    database.run("alter table job_records add column newer text");
    database.run("pragma user_version = 99");
    process.kill(process.pid, "SIGKILL");`;
  await box.execute([process.execPath, "-e", newer]);
  const refused = await box.run(["status", "--run-key", "before"]);
  expect(refused.code).toBe(4);
  expect(refused.stderr).toContain("it was written by a newer version");
  await type(box, 1);
  expect(await box.json(["status", "--run-key", "before"])).toMatchObject({ status: "SUCCEEDED" });
  expect((await box.run(["status", "--run-key", "since"])).code).toBe(3);
  await box.json(["start", "--run-key", "since", "--sync", "--", "true"]);
});

test.each(PYTHON_VERSIONS)("the copy gives the Python orchesjob %s its data back", async (version) => {
  await using box = new Sandbox();
  const { jobs } = unpackPython(box, version);
  await box.json(["start", "--run-key", "since", "--sync", "--", "true"]);
  expect(await type(box, 2)).toMatchObject({ code: 0, stdout: "[]\n" });
  using database = new Database(join(box.home, "orchesjob.db"), { readonly: true });
  expect(database.query<object, []>("select * from jobs order by rowid").all()).toEqual([...jobs]);
});
