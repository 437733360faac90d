/** What docs/operations.md says about going back to an older version, typed as it stands there. */
import { expect, setDefaultTimeout } from "bun:test";
import { testWith } from "../support/needs.ts";
import { readBlock } from "../support/recipes.ts";
import { BINARY, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

testWith(["sqlite3"], "the copy of the database brings the older version back to work", async () => {
  await using box = new Sandbox();
  const type = (nth: number) => {
    const block = readBlock("docs/operations.md", "Upgrading and going back", "sh", nth);
    const script = block
      .replaceAll("/var/lib/orchesjob", box.home)
      .replaceAll("/root", box.directory)
      .replaceAll(/^orchesjob/gm, `'${BINARY}'`);
    return box.execute(["sh", "-c", script]);
  };
  await box.json(["start", "--run-key", "before", "--sync", "--", "true"]);
  expect(await type(0)).toMatchObject({ code: 0, stderr: "" });
  await box.json(["start", "--run-key", "since", "--sync", "--", "true"]);
  // As a newer version leaves it that ends without closing: what it wrote is in the write-ahead log.
  const newer = `
    const database = new (require("bun:sqlite").Database)("${box.home}/orchesjob.db");
    database.run("alter table job_records add column newer text");
    database.run("pragma user_version = 99");
    process.kill(process.pid, "SIGKILL");`;
  await box.execute([process.execPath, "-e", newer]);
  const refused = await box.run(["status", "--run-key", "before"]);
  expect(refused.code).toBe(4);
  expect(refused.stderr).toContain("it was written by a newer version");
  await type(1);
  expect(await box.json(["status", "--run-key", "before"])).toMatchObject({ status: "SUCCEEDED" });
  expect((await box.run(["status", "--run-key", "since"])).code).toBe(3);
  await box.json(["start", "--run-key", "since", "--sync", "--", "true"]);
});
