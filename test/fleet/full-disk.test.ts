/** The disk of the server is full: nothing is started, what runs goes on, and afterwards the registry has everything. */
import { expect, setDefaultTimeout } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Fleet, WITH_SERVER } from "../support/fleet.ts";
import { Gate } from "../support/gate.ts";
import { finishedJob } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { Server } from "../support/postgres.ts";
import { TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/** Enough for the server and the tables; the write-ahead log needs another segment soon. */
const DISK = "size=160m,mode=700,uid=postgres,gid=postgres";

/** Data that no compression makes smaller. */
const BALLAST_BYTES = 40_000;

/** Puts the data of a server on a disk of its own; returns what takes it away again. */
async function moveToSmallDisk(server: Server): Promise<AsyncDisposable> {
  await server.stop();
  const before = join(server.directory, "before");
  renameSync(server.data, before);
  mkdirSync(server.data);
  expect(spawnSync("mount", ["-t", "tmpfs", "-o", DISK, "tmpfs", server.data]).status).toBe(0);
  // The server first: on a disk that is gone it would not be found any more.
  const unmount = async () => {
    await server.kill();
    spawnSync("umount", [server.data]);
  };
  try {
    expect(spawnSync("cp", ["-a", `${before}/.`, server.data]).status).toBe(0);
    await server.start();
  } catch (error) {
    await unmount();
    throw error;
  }
  return { [Symbol.asyncDispose]: unmount };
}

testWith(
  [...WITH_SERVER, "root"],
  "a full disk of the server loses nothing, and starts nothing twice",
  async () => {
    await using server = await Server.start();
    await using _disk = await moveToSmallDisk(server);
    await using fleet = await Fleet.create(server);
    const [first, second] = await fleet.members(2);
    await using gate = new Gate(first!);
    // So much output that its publication needs room.
    const script = `${gate.wait}; head -c ${BALLAST_BYTES} /dev/urandom`;
    const running = await first!.json(["start", "--run-key", "running", "--", "sh", "-c", script]);
    const ballast = join(server.data, "ballast");
    spawnSync("dd", ["if=/dev/zero", `of=${ballast}`, "bs=64k"]);
    let taken = 0;
    const refused = await until("a start is refused", async () => {
      const word = crypto.getRandomValues(new Uint8Array(BALLAST_BYTES)).toBase64();
      const start = await second!.run(["start", "--sync", "--run-key", `k${taken}`, "--", "true", word]);
      if (start.code !== 0) return start;
      taken += 1;
      return false;
    });
    expect(refused.code).toBe(5);
    expect(refused.stderr).toContain("No space left on device");
    expect(refused.stderr).toMatch(/^orchesjob: [^\n]*nothing was started[^\n]*\n$/);
    expect(await second!.run(["status", "--run-key", `k${taken}`])).toMatchObject({ stdout: "" });
    gate.open();
    expect(await finishedJob(first!, "running")).toMatchObject({
      job_id: running.job_id,
      status: "SUCCEEDED",
    });
    expect([...(await fleet.registered("running"))]).toMatchObject([{ status: "RUNNING", holds_key: true }]);
    rmSync(ballast);
    // The server may have given up when it could not write its log.
    await server.stop("immediate").catch(() => undefined);
    await server.start();
    for (const member of [first!, second!]) await member.untilPublished();
    expect([...(await fleet.registered("running"))]).toMatchObject([
      { status: "SUCCEEDED", holds_key: false },
    ]);
    // Neither the key of the refused start nor any other is stuck, and none ran twice.
    expect(await second!.json(["start", "--sync", "--run-key", `k${taken}`, "--", "true"])).toMatchObject({
      existing: false,
      status: "SUCCEEDED",
    });
    for (let index = 0; index < taken; index++) expect(await fleet.registered(`k${index}`)).toHaveLength(1);
  },
);
