/**
 * A bug found by the sweep: a worker that could not read the boot id recorded an empty one, and seemed to be from
 * before a reboot.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { testWith } from "../support/needs.ts";
import { killAndWait } from "../support/processes.ts";
import { strikeWorker } from "../support/strace.ts";
import { checkManners, Scene } from "./scene.ts";
import { TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

testWith(["strace"], "an orphan is found although its worker could not read the boot id", async () => {
  await using scene = new Scene();
  // musl on x64 opens files with open(2), which arm64 does not have.
  const fault = {
    call: "?open,openat",
    effect: "EIO",
    when: 1,
    path: "/proc/sys/kernel/random/boot_id",
  } as const;
  const { launcher, hit, pid } = await strikeWorker(scene, fault, scene.start());
  await launcher;
  await killAndWait(pid);
  expect(await hit).toContain("EIO");

  const [job] = await scene.history();
  expect(job).toMatchObject({ status: "LOST", lost_reason: "worker_killed", orphan_pids: [job?.target_pid] });
  checkManners(await scene.run(scene.start()), [4]);
});
