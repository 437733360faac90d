/** Small things that go wrong around a membership, and what is said about them. */
import { expect, setDefaultTimeout } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expectFailure } from "../support/expect.ts";
import { Fleet, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { testWith } from "../support/needs.ts";
import { PASSWORD, ROLE } from "../support/postgres.ts";
import { BINARY } from "../support/sandbox.ts";
setDefaultTimeout(60000);
const server = serverOfFile();
testWith(WITH_SERVER, "lease is a directory", async () => {
  await using fleet = await Fleet.create(await server());
  const m = await fleet.member("m1");
  rmSync(`${m.home}/fleet.lease`, { force: true });
  mkdirSync(`${m.home}/fleet.lease`);
  for (const words of [
    ["start", "--run-key", "k", "--on-partition", "stop", "--", "true"],
    ["fleet", "leave"],
    ["fleet", "join", fleet.url],
  ])
    expectFailure(await m.run(words), 4, /fleet.lease is not a file.*mv /);
  rmSync(`${m.home}/fleet.lease`, { recursive: true });
  expect((await m.json(["start", "--sync", "--run-key", "k", "--", "true"])).status).toBe("SUCCEEDED");
});
testWith(WITH_SERVER, "not found, and failed join", async () => {
  await using fleet = await Fleet.create(await server());
  const m = await fleet.member("m1");
  expectFailure(await m.run(["status", "nix"]), 3, /nor in the registry of its fleet/);
  await fleet.server.stop();
  try {
    expectFailure(
      await m.run(["status", "--run-key", "nix"]),
      5,
      /this host has no job of run key "nix", and cannot ask/,
    );
    const c = fleet.candidate("m2");
    const r = await c.run(["fleet", "join", fleet.url]);
    expectFailure(r, 5, /has not joined/);
    expect(r.stderr).not.toContain("fleet status");
  } finally {
    await fleet.server.start();
  }
});
testWith(WITH_SERVER, "join again keeps", async () => {
  await using fleet = await Fleet.create(await server());
  const m = await fleet.member("m1", ["--lease", "30", "--on-partition", "stop", "--without-output"]);
  await m.json(["fleet", "join", fleet.url]);
  expect(JSON.parse(readFileSync(join(m.home, "fleet.json"), "utf8"))).toMatchObject({
    name: "m1",
    leaseMs: 30000,
    onPartition: "stop",
    publishesOutput: false,
  });
});
testWith(["postgresql", "root"], "no HOME", async () => {
  await using fleet = await Fleet.create(await server());
  const m = fleet.candidate("m1");
  writeFileSync(
    join(fleet.directory, ".pgpass"),
    `localhost:5432:*:${ROLE}:${PASSWORD.replace(":", "\\:")}\n`,
    { mode: 0o600 },
  );
  const passwd = join(fleet.directory, "passwd");
  writeFileSync(
    passwd,
    readFileSync("/etc/passwd", "utf8").replace(/^(root:.*):[^:]*:([^:]*)$/m, `$1:${fleet.directory}:$2`),
  );
  const bare = new URL(fleet.url);
  bare.password = "";
  const r = await m.execute(
    [
      "unshare",
      "--mount",
      "sh",
      "-c",
      `mount --bind ${passwd} /etc/passwd && exec "$@"`,
      "sh",
      BINARY,
      "fleet",
      "join",
      bare.href,
      "--name",
      "m1",
    ],
    { env: { HOME: undefined } },
  );
  expect(r).toMatchObject({ code: 0, stderr: "" });
});
