/**
 * Look-ups while the first start makes the state directory: they find the job, or nothing, and never half of a
 * database.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const DIRECTORIES = 12;
const LOOKS = 8;

test("a status beside the very first start prints the job, or says that there is none (exit 3)", async () => {
  await Promise.all(
    Array.from({ length: DIRECTORIES }, async () => {
      await using box = new Sandbox();
      const start = box.run(["start", "--run-key", "k", "--sync", "--", "true"]);
      const looks = await Promise.all(
        Array.from({ length: LOOKS }, () => box.run(["status", "--run-key", "k"])),
      );
      expect((await start).code).toBe(0);
      for (const { code, stderr } of looks) {
        if (code !== 0)
          expect({ code, stderr }).toMatchObject({
            code: 3,
            stderr: expect.stringContaining("no job of run key"),
          });
      }
    }),
  );
});
