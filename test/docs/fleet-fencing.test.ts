/** The targets of docs/fleet.md that refuse an old fencing token, run as they stand there. */
import { expect, setDefaultTimeout } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readDocument } from "../support/console.ts";
import { serverOfFile } from "../support/fleet.ts";
import { testWith } from "../support/needs.ts";
import { PASSWORD, ROLE } from "../support/postgres.ts";
import { readBlock } from "../support/recipes.ts";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const serverOf = serverOfFile();

/** Writes a program of the document, and returns how to run it with a token. */
function install(box: Sandbox, heading: string, env: Record<string, string> = {}) {
  const path = join(box.directory, "program");
  writeFileSync(path, readBlock("docs/fleet.md", heading, "sh"), { mode: 0o755 });
  return (token: number, args: readonly string[], stdin?: string) =>
    box.execute([path, ...args], {
      env: { ...env, ORCHESJOB_FENCING_TOKEN: String(token) },
      ...(stdin === undefined ? {} : { stdin }),
    });
}

testWith(["postgresql"], "a table takes a newer token, and refuses an older one", async () => {
  await using box = new Sandbox();
  const server = await serverOf();
  const database = await server.createDatabase();
  const table = /`(create table totals [^`]*)`/.exec(readDocument("docs/fleet.md"))![1]!;
  await server.sql(database, `${table}; grant all on totals to ${ROLE}`);
  const write = install(box, "SQL", {
    DATABASE: `postgresql://${ROLE}@/${database}?host=${server.directory}&port=5432`,
    PGPASSWORD: PASSWORD,
  });
  const day = "2026-05-01";
  expect(await write(5, [day, "10"])).toMatchObject({ code: 0, stderr: "" });
  expect(await write(5, [day, "11"])).toMatchObject({ code: 0, stderr: "" });
  expect(await write(7, [day, "20.5"])).toMatchObject({ code: 0, stderr: "" });
  expect(await write(6, [day, "12"])).toMatchObject({
    code: 1,
    stderr: "token 6 is too old: a newer job has written\n",
  });
  const rows = await server.sql(database, "select day, total::text, fence::text from totals");
  expect([...rows]).toEqual([{ day, total: "20.5", fence: "7" }]);
  expect((await write(8, [day, "no number"])).code).toBe(1);
});

testWith([], "a file takes a newer token, and refuses an older one", async () => {
  await using box = new Sandbox();
  const replace = install(box, "A file");
  const file = join(box.directory, "prices");
  expect(await replace(5, [file], "five")).toMatchObject({ code: 0, stderr: "" });
  expect(await replace(7, [file], "seven")).toMatchObject({ code: 0, stderr: "" });
  expect(await replace(6, [file], "six")).toMatchObject({
    code: 1,
    stderr: "token 6 is too old: job 7 has written\n",
  });
  expect(readFileSync(file, "utf8")).toBe("seven");
  // Many at once: the largest token stays.
  await Promise.all([8, 15, 9, 12, 11].map((token) => replace(token, [file], String(token))));
  expect(readFileSync(file, "utf8")).toBe("15");
});
