/**
 * If stdout cannot be written, the answer is lost: the command exits 1 (125 where its exit code is the job's), and
 * says on stderr that the work was done.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { BINARY, type Finished, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/** Runs orchesjob with a stdout that cannot be written. */
function mute(box: Sandbox, words: readonly string[]): Promise<Finished> {
  return box.execute(["sh", "-c", `exec "$@" >/dev/full`, "sh", BINARY, ...words]);
}

describe("with stdout on a full disk", () => {
  const lost = (result: Finished, code: number, message: string) => {
    expect(result.stderr).toMatch(/^orchesjob: cannot write: [^\n]*, so the answer is lost; [^\n]*\n$/);
    expect(result.stderr).toContain(message);
    expect(result.code).toBe(code);
  };
  const idOf = (box: Sandbox) => box.json(["status", "--run-key", "k"]).then((job) => job.job_id);

  test("start and rerun say that the job was accepted, and how to see it", async () => {
    await using box = new Sandbox();
    const words = ["start", "--run-key", "k", "--sync"];
    lost(await mute(box, [...words, "--", "true"]), 1, "was accepted all the same; see it: orchesjob status");
    expect(await box.json(["status", "--run-key", "k"])).toMatchObject({
      status: "SUCCEEDED",
      attempt_no: 1,
    });
    lost(await mute(box, ["rerun", "--run-key", "k", "--sync"]), 1, "was accepted all the same");
    const coded = await mute(box, [...words, "--exit-status", "--", "sh", "-c", "exit 3"]);
    lost(coded, 125, `job ${await idOf(box)} was accepted all the same`);
    lost(await mute(box, [...words, "--strict", "--", "true"]), 1, `the existing job is ${await idOf(box)}`);
  });

  test("cancel, unlock and clean say what they have done", async () => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "k", "--", "sleep", "600"]);
    lost(await mute(box, ["cancel", "--run-key", "k"]), 1, "is CANCELLED; see it");
    lost(await mute(box, ["unlock", "--run-key", "k"]), 1, 'run key "k" may run once more');
    lost(await mute(box, ["clean", "--before", "2100-01-01", "--dry-run", "--keep", "1"]), 1, "nothing was");
    lost(await mute(box, ["clean", "--before", "2100-01-01"]), 1, "jobs deleted: 1");
    expect(await box.json<unknown[]>(["list"])).toEqual([]);
  });
});
