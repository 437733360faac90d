/** The lines of README.md that install from a clone, typed as they stand there in a clone. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { cpSync } from "node:fs";
import { dirname, join } from "node:path";
import { readBlock } from "../support/recipes.ts";
import { ROOT, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

test("an executable built from a clone can be installed, and runs a job", async () => {
  await using box = new Sandbox();
  const clone = join(box.directory, "clone");
  for (const name of ["src", "scripts", "package.json", "tsconfig.json"])
    cpSync(join(ROOT, name), join(clone, name), { recursive: true });
  const bun = dirname(process.execPath);
  const env = { HOME: box.directory, PATH: `${bun}:${process.env["PATH"]}` };
  const lines = readBlock("README.md", "From a clone", "sh");
  const installed = await box.execute(["sh", "-ec", lines], { cwd: clone, env });
  expect(installed).toMatchObject({ code: 0 });
  const program = join(box.directory, ".local/bin/orchesjob");
  const words = ["run", "--run-key", "hello", "--", "echo", "hello, world"];
  expect(await box.execute([program, ...words])).toMatchObject({ code: 0, stdout: "hello, world\n" });
});
