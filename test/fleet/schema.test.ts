/** The schema of the registry, as the migrations make it, is the one that src/fleet/postgres/schema.sql shows to a reader. */
import { expect, setDefaultTimeout } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Fleet, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { testWith } from "../support/needs.ts";
import { ROOT, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

const SHOWN = join(ROOT, "src/fleet/postgres/schema.sql");
const HEADER = `-- The schema of the registry as all migrations make it, by pg_dump of PostgreSQL 15: for readers, and compared by a test.
-- To write it anew: ORCHESJOB_WRITE_SCHEMA=1 bun test test/fleet/schema.test.ts

`;

testWith(WITH_SERVER, "schema.sql shows what the migrations make", async () => {
  const running = await server();
  const [{ version }] = (await running.sql(
    "postgres",
    "select current_setting('server_version_num')::int / 10000 as version",
  )) as [{ version: number }];
  // Another version of pg_dump writes the same schema in other words.
  if (Number(version) !== 15) return;
  await using fleet = await Fleet.create(running);
  const dump = join(running.directory, "schema.sql");
  await running.tool("pg_dump", ["-s", "-O", "-x", "-n", "orchesjob", "-f", dump, fleet.database]);
  const text =
    HEADER +
    readFileSync(dump, "utf8")
      .split("\n")
      .filter((line) => !/^(--|SET |SELECT pg_catalog|\\(un)?restrict)/.test(line))
      .join("\n")
      .replace(/\n{3,}/g, "\n\n")
      .trim() +
    "\n";
  if (process.env["ORCHESJOB_WRITE_SCHEMA"]) writeFileSync(SHOWN, text);
  expect(readFileSync(SHOWN, "utf8")).toBe(text);
});
