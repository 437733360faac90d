/** Resource limits that the caller has set apply to the command; they must neither harm orchesjob nor mislead it. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { testWith } from "../support/needs.ts";
import { BINARY, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";
import { finishedJob } from "../support/jobs.ts";

setDefaultTimeout(TIMEOUT_MS);

testWith(
  ["strace"],
  "without room for the C library orchesjob tries nothing in the current directory, and says so",
  async () => {
    await using box = new Sandbox();
    for (const name of ["libc.so.6", "libc.musl-x86_64.so.1"])
      writeFileSync(join(box.directory, name), "not a library");
    const trace = join(box.directory, "trace");
    const script = `ulimit -v 2000000; exec strace -f -qq -e trace=openat -o ${trace} "$0" status --run-key k`;
    const result = await box.execute(["sh", "-c", script, BINARY]);
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toMatch(/^orchesjob: cannot load the C library: [^\n]*ulimit -v[^\n]*\n$/);
    expect(
      (await Bun.file(trace).text()).split("\n").filter((line) => line.includes(`"${box.directory}`)),
    ).toEqual([]);
  },
);

test("a soft limit of file sizes applies to the command, and does not keep its result from being written", async () => {
  await using box = new Sandbox();
  // The database outgrows the limit (512-byte blocks) while the command runs.
  await box.json(["start", "--run-key", "first", "--sync", "--", "true"]);
  const script = `ulimit -Sf 150; exec "$0" start --run-key k -- sh -c 'ulimit -Sf; read -r line < "$0"; exit 3' "$1"`;
  const gate = join(box.directory, "gate");
  await box.execute(["mkfifo", gate]);
  expect((await box.execute(["sh", "-c", script, BINARY, gate])).code).toBe(0);
  const label = ["--label", `x=${"y".repeat(3_900)}`];
  for (let n = 0; n < 40; n++)
    await box.json(["start", "--run-key", `${n}`, "--start-timeout", "0", ...label, "--", "true"]);
  await box.execute(["sh", "-c", `echo > ${gate}`]);
  expect(await finishedJob(box, "k")).toMatchObject({ status: "FAILED", exit_code: 3 });
  expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe("150\n");
});
