/** The documents name every field, check and metric of a fleet. They need a server to be seen; test/docs has the others. */
import { expect, setDefaultTimeout } from "bun:test";
import { readDocument } from "../support/console.ts";
import { Fleet, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { testWith } from "../support/needs.ts";
import { TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

/** The first cells of the table rows that a pattern finds. */
function named(document: string, pattern: RegExp): string[] {
  return [...readDocument(document).matchAll(pattern)].map((match) => match[1]!);
}

testWith(WITH_SERVER, "json.md has every field of fleet status, leave and forget", async () => {
  await using fleet = await Fleet.create(await server());
  const [m1] = await fleet.members(2);
  const status = await m1!.json<Record<string, unknown> & { members: object[] }>(["fleet", "status"]);
  const text = readDocument("docs/json.md");
  const section = text.slice(text.indexOf("\n## fleet\n"));
  const code = new Set([...section.matchAll(/`(\w+)`/g)].map((match) => match[1]!));
  await fleet.sql("update orchesjob.sessions set lease_until = clock_timestamp() - interval '1 hour'");
  const forgotten = await m1!.json<object>(["fleet", "forget", "m2", "--reason", "its disk burned"]);
  const left = await m1!.json<object>(["fleet", "leave"]);
  for (const answer of [status, ...status.members, forgotten, left])
    expect(Object.keys(answer).filter((field) => !code.has(field))).toEqual([]);
});

testWith(WITH_SERVER, "operations.md names what doctor and metrics say in a fleet", async () => {
  await using fleet = await Fleet.create(await server());
  const [m1] = await fleet.members(1);
  const { checks } = JSON.parse((await m1!.run(["doctor"])).stdout) as { checks: { check: string }[] };
  expect(named("docs/operations.md", /^\| `(fleet_\w+)`/gm)).toEqual(
    checks.map(({ check }) => check).filter((name) => name.startsWith("fleet_")),
  );
  const { stdout } = await m1!.run(["metrics"]);
  const metrics = [...stdout.matchAll(/^# TYPE (orchesjob_fleet_\w+) /gm)].map((match) => match[1]!);
  expect(metrics.length).toBeGreaterThan(3);
  expect(named("docs/operations.md", /^\| `(orchesjob_fleet_\w+)`/gm).sort()).toEqual(metrics.sort());
});
