/** What a release's program writes for systemd is for all to read, as what the install script and the package bring. */
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { BINARY, Sandbox } from "../support/sandbox.ts";

const WORDS = ["systemd", "--output", "a/b/c", "--program", "/usr/local/bin/orchesjob"];

test.each([
  ["022", "755"],
  ["027", "750"],
  ["077", "700"],
])("directories for units follow the caller's umask: %s", async (umask, mode) => {
  await using box = new Sandbox();
  const command = `umask ${umask} && exec "$@"`;
  expect(await box.execute(["sh", "-c", command, "sh", BINARY, ...WORDS])).toMatchObject({
    code: 0,
    stderr: "",
  });
  const modeOf = (name: string) => (statSync(join(box.directory, name)).mode & 0o777).toString(8);
  expect(["a", "a/b", "a/b/c"].map(modeOf)).toEqual([mode, mode, mode]);
  expect(modeOf("a/b/c/orchesjob@.service")).toBe("644");
});

test("a directory with the name of a unit is said with its path, and nothing is written", async () => {
  await using box = new Sandbox();
  mkdirSync(join(box.directory, "a/b/c/orchesjob@.timer"), { recursive: true });
  for (const words of [WORDS, [...WORDS, "--force"]])
    expect(await box.run(words)).toMatchObject({
      code: 1,
      stdout: "",
      stderr: `orchesjob: ${box.directory}/a/b/c/orchesjob@.timer is a directory; nothing was changed. Move it away\n`,
    });
  expect(readdirSync(join(box.directory, "a/b/c"))).toEqual(["orchesjob@.timer"]);
});
