/** Building the same source gives the same executable, wherever the checkout is. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { compile } from "../../scripts/build.ts";
import { ROOT, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

test("another checkout gives the same bytes", async () => {
  await using box = new Sandbox();
  const bytes: Buffer[] = [];
  for (const name of ["one", "deeper/another"]) {
    const root = `${join(box.directory, name)}/`;
    cpSync(join(ROOT, "src"), `${root}src`, { recursive: true });
    const outfile = `${root}orchesjob`;
    await compile({ root, commit: "same", outfile });
    bytes.push(readFileSync(outfile));
  }
  expect(bytes[0]!.equals(bytes[1]!)).toBe(true);
});
