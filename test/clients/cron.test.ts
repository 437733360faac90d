/**
 * An existing client: cron, which mails whatever comes on stderr. orchesjob is silent there if all is well, and
 * reports failures.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { BINARY, type Finished, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/** Runs a line as cron does: almost no environment, and sh. */
function fromCron(box: Sandbox, line: string): Promise<Finished> {
  const environment = [
    "HOME=/",
    "LOGNAME=root",
    "SHELL=/bin/sh",
    "PATH=/usr/bin:/bin",
    `ORCHESJOB_HOME=${box.home}`,
  ];
  return box.execute(["env", "-i", ...environment, "/bin/sh", "-c", line.replaceAll("orchesjob", BINARY)]);
}

const WELL = [
  "orchesjob start --run-key nightly -- true",
  "orchesjob start --run-key nightly --sync -- sh -c 'echo out; echo err >&2; exit 3'",
  "orchesjob start --run-key nightly --strict --request-id today --timeout 1h --label a=b --env C=d --sync -- true",
  "orchesjob run --run-key report -- true",
  "orchesjob run --run-key report -- sh -c 'echo out'",
  "orchesjob run --run-key loud -- yes | head -1",
  "orchesjob cancel --run-key loud",
  "orchesjob status --run-key nightly",
  "orchesjob status --run-key nightly --all",
  "orchesjob status --running",
  "orchesjob status --run-key nightly --format table",
  "orchesjob list",
  "orchesjob list --format table",
  "orchesjob list | head -1",
  "orchesjob wait --run-key nightly",
  "orchesjob logs --run-key nightly",
  "orchesjob logs --run-key nightly --stream stderr --tail 1 --follow",
  "orchesjob result --run-key nightly",
  "orchesjob start --run-key long -- sleep 600",
  "orchesjob start --run-key long -- sleep 600",
  "orchesjob cancel --run-key long --reason 'wrong day'",
  "orchesjob rerun --run-key nightly --sync",
  "orchesjob unlock --run-key nightly --reason 'one more'",
  "orchesjob --version",
  "orchesjob --help",
  "orchesjob start --help",
  "orchesjob clean --before 2100-01-01",
];

test("every command is silent on stderr and exits 0 when all is well", async () => {
  await using box = new Sandbox();
  for (const line of WELL) {
    const { code, stderr } = await fromCron(box, line);
    expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: "" });
  }
});

describe("a failure is reported on stderr", () => {
  test.each([
    ["orchesjob run --run-key k -- no-such-command", 127, "command not found"],
    ["orchesjob start --run-key k", 2, "command is required"],
    ["orchesjob status --run-key never", 3, "no job of run key"],
    ["orchesjob run --run-key k --timeout 1 -- sleep 600", 124, "timed out after 1s"],
  ])("%s", async (line, code, message) => {
    await using box = new Sandbox();
    const result = await fromCron(box, line);
    expect(result.code).toBe(code);
    expect(result.stderr).toMatch(/^orchesjob: [^\n]+\n$/);
    expect(result.stderr).toContain(message);
  });

  test("run passes on what the command writes to stderr, and nothing else", async () => {
    await using box = new Sandbox();
    const result = await fromCron(box, "orchesjob run --run-key k -- sh -c 'echo careful >&2; exit 1'");
    expect(result).toMatchObject({ code: 1, stderr: "careful\n" });
  });
});
