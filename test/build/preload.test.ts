/** `bun test` needs no build before it, and never tests an executable that is older than the sources. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/** A checkout with one test, which prints what the executable says about itself. */
function makeCheckout(box: Sandbox): string {
  const checkout = join(box.directory, "checkout");
  for (const name of ["src", "scripts", "test/support", "package.json", "bunfig.toml", "tsconfig.json"])
    cpSync(join(ROOT, name), join(checkout, name), { recursive: true });
  mkdirSync(join(checkout, "test/one"));
  writeFileSync(
    join(checkout, "test/one/one.test.ts"),
    `import { expect, test } from "bun:test";
import { BINARY } from "../support/sandbox.ts";
test("bun test builds the executable if there is none", () => {
  const { stdout, exitCode } = Bun.spawnSync([BINARY, "--version"]);
  expect(exitCode).toBe(0);
  console.log("tested:", stdout.toString());
});
`,
  );
  return checkout;
}

test("processes that start together build once, and again after a source has changed", async () => {
  await using box = new Sandbox();
  const checkout = makeCheckout(box);
  const options = { cwd: checkout, env: { ORCHESJOB_BINARY: undefined } };
  const command = [process.execPath, "test", "test/one/one.test.ts"];
  const binary = join(checkout, "dist/orchesjob");

  const both = await Promise.all([box.execute(command, options), box.execute(command, options)]);
  for (const { code, stdout } of both) {
    expect(code).toBe(0);
    expect(stdout).toContain("tested: orchesjob 1.0.0 ");
  }
  expect(both.filter(({ stderr }) => stderr.includes("building dist/orchesjob"))).toHaveLength(1);
  expect(readdirSync(join(checkout, "dist")).sort()).toEqual(["build.lock", "orchesjob"]);
  const first = statSync(binary).ino;

  expect((await box.execute(command, options)).code).toBe(0);
  expect(statSync(binary).ino).toBe(first);

  const version = join(checkout, "src/app/version.ts");
  writeFileSync(version, readFileSync(version, "utf8").replace("`orchesjob ", "`changed orchesjob "));
  expect((await box.execute(command, options)).stdout).toContain("tested: changed orchesjob 1.0.0 ");
});
