/** Twenty commands at once find a Python directory: one of them upgrades it, and all of them answer. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { PYTHON_VERSIONS, unpackPython } from "../support/python-home.ts";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

for (const version of PYTHON_VERSIONS) {
  test(`${version}: twenty at once, one upgrade`, async () => {
    await using box = new Sandbox();
    const old = unpackPython(box, version);
    const commands = Array.from({ length: 20 }, (_, index) =>
      index % 2 === 0
        ? ["status", "--run-key", "nightly-backup"]
        : ["start", "--run-key", "was-running", "--sync", "--", "sh", "-c", "echo ran >> ran"],
    );
    const results = await Promise.all(commands.map((command) => box.run(command)));
    expect(results.map((result) => result.code)).toEqual(commands.map(() => 0));
    const told = results.map((result) => result.stderr).filter((text) => text !== "");
    expect(told).toHaveLength(1);
    expect(told[0]).toContain(`upgraded ${old.jobs.length} jobs`);
    const history = await box.json<{ status: string }[]>(["status", "--run-key", "was-running", "--all"]);
    const ran = (await Bun.file(`${box.directory}/ran`).text()).split("\n").length - 1;
    expect(history.map((job) => job.status)).toEqual([...Array(ran).fill("SUCCEEDED"), "LOST"]);
    expect(await box.json<unknown[]>(["status", "--run-key", "nightly-backup", "--all"])).toHaveLength(
      old.jobs.filter((job) => job.run_key === "nightly-backup").length,
    );
  });
}
