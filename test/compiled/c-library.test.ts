/** Where the C library is, and what it can do, differs from system to system. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, setDefaultTimeout, test } from "bun:test";
import { testWith } from "../support/needs.ts";
import { BINARY, ROOT, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const USUAL = [
  "/lib/x86_64-linux-gnu/libc.so.6",
  "/lib64/libc.so.6",
  "/lib/aarch64-linux-gnu/libc.so.6",
  "/usr/lib/libc.so.6",
];

testWith(
  ["root", "unshare"],
  "a C library at an unusual path is found, even one too old to have statx",
  async () => {
    await using box = new Sandbox();
    const elsewhere = join(box.directory, "elsewhere");
    mkdirSync(elsewhere);
    const own = /\/\S*\/libc\.so\.6$/m.exec(readFileSync("/proc/self/maps", "utf8"))![0];
    const library = readFileSync(own, "latin1").replace("\0statx\0", "\0-----\0");
    writeFileSync(join(elsewhere, "libc.so.6"), library, "latin1");
    // Everything in there, including the shell, finds the library only at the other path.
    const hidden = USUAL.filter((path) => existsSync(path));
    const script = `for path in ${hidden.join(" ")}; do mount --bind /dev/null $path || exit 9; done; exec "$@"`;
    const answer = await box.execute(
      ["unshare", "--mount", "sh", "-c", script, "sh", BINARY, "run", "--run-key", "k", "--", "echo", "done"],
      { env: { LD_LIBRARY_PATH: elsewhere } },
    );
    expect(answer).toMatchObject({ code: 0, stdout: "done\n", stderr: "" });
  },
);

test("an executable for another system says that it needs Linux", async () => {
  await using box = new Sandbox();
  const program = join(box.directory, "orchesjob");
  // What Bun defines for a target; this machine can only execute its own base. Not by scripts/build.ts: Bun.build
  // does not let its own value be replaced.
  const platform = ["--define", "process.platform='darwin'"];
  const source = join(ROOT, "src/main.ts");
  const built = await box.execute([
    ...[process.execPath, "build", "--compile", "--splitting", ...platform],
    ...[source, "--outfile", program],
  ]);
  expect(built.code).toBe(0);
  const answer = await box.execute([program, "--version"]);
  expect(answer).toMatchObject({
    code: 1,
    stdout: "",
    stderr: "orchesjob: this executable is for darwin, where orchesjob cannot run yet: it needs Linux\n",
  });
});
