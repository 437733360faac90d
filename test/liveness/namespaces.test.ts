/**
 * Workers in other PID namespaces (containers that share the state directory), and dead processes that nobody reaps.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { Gate } from "../support/gate.ts";
import { enter, seenFromHere, startContainer } from "../support/container.ts";
import { testWith } from "../support/needs.ts";
import { killAndWait, readProc, stateOf, statusOf } from "../support/processes.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

testWith(
  ["root", "unshare"],
  "a job in a container is RUNNING as long as its worker lives, seen from both sides, and LOST once the container is gone",
  async () => {
    await using box = new Sandbox();
    const gate = new Gate(box);
    const container = await startContainer(box, ["sh", "-c", gate.wait], `read line < ${gate.path}`);
    const status = ["status", "--run-key", "k"];
    expect(await container.run(status)).toMatchObject({
      status: "RUNNING",
      worker_pid: container.job.worker_pid,
    });
    expect((await box.json(status)).status).toBe("RUNNING");
    expect(await box.json(["start", "--run-key", "k", "--", "true"])).toMatchObject({ existing: true });
    await container.end();
    expect(await box.json(status)).toMatchObject({ status: "LOST", orphan_pids: [] });
    expect(await box.json(["start", "--run-key", "k", "--sync", "--", "true"])).toMatchObject({
      attempt_no: 2,
    });
  },
);

testWith(
  ["root", "unshare"],
  "a job outside is RUNNING when it is seen from a container, though its number means nothing there",
  async () => {
    await using box = new Sandbox();
    const gate = new Gate(box);
    const job = await box.json(["start", "--run-key", "k", "--", "sh", "-c", gate.wait]);
    const inside = ["unshare", "--pid", "--fork", "--mount-proc", BINARY];
    const seen = await box.execute([...inside, "status", "--run-key", "k"]);
    expect(JSON.parse(seen.stdout)).toMatchObject({ status: "RUNNING", worker_pid: job.worker_pid });
    const again = await box.execute([...inside, "start", "--run-key", "k", "--", "true"]);
    expect(JSON.parse(again.stdout)).toMatchObject({ existing: true, job_id: job.job_id });
    // Even without the lock: a process that cannot be seen is not proven gone.
    rmSync(join(box.home, "locks", job.job_id));
    const unseen = await box.execute([...inside, "status", "--run-key", "k"]);
    expect(JSON.parse(unseen.stdout).status).toBe("RUNNING");
    gate.open();
    await until("its end", async () => (await statusOf(box, "k")).status === "SUCCEEDED");
  },
);

testWith(
  ["root", "unshare"],
  "one container gets true answers about a job of another, although it sees none of its processes",
  async () => {
    await using box = new Sandbox();
    const gate = new Gate(box);
    const container = await startContainer(box, ["sh", "-c", gate.wait], `read line < ${gate.path}`);
    const other = ["unshare", "--pid", "--fork", "--mount-proc", BINARY, "status", "--run-key", "k"];
    const seen = async () => JSON.parse((await box.execute(other)).stdout) as JobAnswer;
    expect((await seen()).status).toBe("RUNNING");
    await container.end();
    expect(await seen()).toMatchObject({ status: "LOST", orphan_pids: [] });
  },
);

testWith(
  ["root", "unshare", "machine"],
  "a container that is gone leaves no key stuck, also when the lock file was deleted",
  async () => {
    await using box = new Sandbox();
    const gate = new Gate(box);
    const container = await startContainer(box, ["sh", "-c", gate.wait], `read line < ${gate.path}`);
    rmSync(join(box.home, "locks", container.job.job_id));
    expect((await statusOf(box, "k")).status).toBe("RUNNING");
    await container.end();
    expect((await statusOf(box, "k")).status).toBe("LOST");
  },
);

testWith(
  ["root", "unshare"],
  "a killed worker that nobody reaps counts as gone: its job is LOST, with and without its lock file",
  async () => {
    for (const deleteLock of [false, true]) {
      await using box = new Sandbox();
      const gate = new Gate(box);
      // The first process of this container is sleep, which never reaps.
      const container = await startContainer(box, ["sh", "-c", gate.wait], "exec sleep 1000");
      // Until then it is the shell that waits for `mv`, which does reap.
      await until("the first process is sleep", () => readProc(container.init, "comm") === "sleep\n");
      const worker = await until("the worker", () => seenFromHere(box, container.job.worker_pid!));
      const target = await until("the target", () => seenFromHere(box, container.job.target_pid!));
      if (deleteLock) rmSync(join(box.home, "locks", container.job.job_id));
      await killAndWait(worker);
      await killAndWait(target);
      expect(stateOf(worker)).toBe("Z");
      expect(await container.run(["status", "--run-key", "k"])).toMatchObject({
        status: "LOST",
        lost_reason: "worker_killed",
        orphan_pids: [],
      });
      expect(await container.run(["start", "--run-key", "k", "--sync", "--", "true"])).toMatchObject({
        attempt_no: 2,
        status: "SUCCEEDED",
      });
      await container.end();
    }
  },
);

testWith(
  ["root", "unshare"],
  "if the kernel reuses a worker's pid for another process, that process does not count as the worker",
  async () => {
    await using box = new Sandbox();
    const gate = new Gate(box);
    // The first process of this container reaps, so that the pids of the dead become free.
    const container = await startContainer(box, ["sh", "-c", gate.wait], "sleep 1000 & wait");
    const { job } = container;
    const [worker, target] = [job.worker_pid!, job.target_pid!];
    const outside = [worker, target].map((pid) => seenFromHere(box, pid)!);
    for (const pid of outside) process.kill(pid, "SIGKILL");
    await until("their numbers are free", () => outside.every((pid) => stateOf(pid) === undefined));
    rmSync(join(box.home, "locks", job.job_id));
    const take = (pid: number, command: string) =>
      `echo ${pid - 1} > /proc/sys/kernel/ns_last_pid; ${command} > /dev/null 2>&1 &`;
    const script = [take(target, "setsid sleep 1000"), take(worker, "sleep 1000"), "echo"].join("\n");
    await box.execute([...enter(container.init), "sh", "-c", script], {
      env: { ORCHESJOB_JOB_ID: undefined },
    });
    // A process in the middle of execve(2) has no environment to recognize it by.
    await until("another has the worker's number", () => seenFromHere(box, worker));
    await until("another has the target's number", () => seenFromHere(box, target));
    expect(await container.run(["status", "--run-key", "k"])).toMatchObject({
      status: "LOST",
      orphan_pids: [],
    });
    expect(await container.run(["start", "--run-key", "k", "--sync", "--", "true"])).toMatchObject({
      attempt_no: 2,
      status: "SUCCEEDED",
    });
    await container.end();
  },
);
