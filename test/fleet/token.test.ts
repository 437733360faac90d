/** Promises 6 and 7: the fencing token, and that nothing of a fleet is there without one. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Fleet, type FleetAnswer, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { testWith } from "../support/needs.ts";
import { BINARY, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

/** A shell that plays a store which accepts a write only with a larger token than the last one. */
const STORE = `
  exec 9>>store.lock; flock 9
  last=$(cat store.token 2>/dev/null || echo 0)
  [ "$ORCHESJOB_FENCING_TOKEN" -gt "$last" ] || exit 1
  echo "$ORCHESJOB_FENCING_TOKEN" >store.token`;

test("without a fleet each job has a token that grows within the state directory", async () => {
  await using box = new Sandbox();
  const tokens: number[] = [];
  for (const key of ["a", "b", "a"]) {
    const job = await box.json<FleetAnswer>(["start", "--sync", "--run-key", key, "--", "sh", "-c", STORE]);
    expect(job).toMatchObject({ status: "SUCCEEDED", on_partition: null });
    expect(readFileSync(join(box.directory, "store.token"), "utf8")).toBe(`${job.fencing_token}\n`);
    tokens.push(job.fencing_token);
  }
  expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
});

testWith(WITH_SERVER, "tokens grow over joining, over members, and over leaving", async () => {
  await using fleet = await Fleet.create(await server());
  const [m1, m2] = [fleet.candidate("m1"), fleet.candidate("m2")];
  const run = async (member: typeof m1) => {
    const job = await member.answer(["start", "--sync", "--run-key", "k", "--", "sh", "-c", STORE]);
    expect(job.status).toBe("SUCCEEDED");
    await member.run(["fleet", "status"]);
  };
  await run(m1);
  await m1.join();
  await run(m1);
  await m2.join();
  for (const member of [m2, m1, m2, m1]) await run(member);
  await m1.untilPublished();
  await m1.json(["fleet", "leave"]);
  await run(m1);
});

testWith(["strace"], "without a fleet no command talks to anybody, and no agent is started", async () => {
  await using box = new Sandbox();
  const trace = join(box.directory, "trace");
  const strace = ["strace", "-f", "-qq", "-o", trace, "-e", "trace=socket,connect,execve"];
  for (const words of [
    ["start", "--sync", "--run-key", "k", "--", "true"],
    ["status", "--run-key", "k"],
    ["list"],
    ["run", "--run-key", "k", "--", "true"],
  ]) {
    expect((await box.execute([...strace, BINARY, ...words])).code).toBe(0);
    const calls = readFileSync(trace, "utf8");
    expect(calls).not.toMatch(/AF_INET|_agent/);
    expect(calls).not.toMatch(/connect\(.*AF_UNIX.*(PGSQL|fleet)/);
  }
  expect(existsSync(join(box.home, "fleet.lease"))).toBe(false);
  expect(existsSync(join(box.home, "fleet.agent"))).toBe(false);
});
