/** Promise 3 with `stop` holds for a command whose worker was killed while its host was cut off. */
import { expect, setDefaultTimeout } from "bun:test";
import { Fleet, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { testWith } from "../support/needs.ts";
import { Proxy } from "../support/proxy.ts";
import { isAlive, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

testWith(WITH_SERVER, "the agent ends the orphans of a job that must not outlast the lease", async () => {
  await using fleet = await Fleet.create(await server());
  using proxy = new Proxy(fleet);
  const [cutOff, other] = [fleet.candidate("cut-off"), await fleet.member("other")];
  await cutOff.join(["--lease", "2s"], proxy.url);
  const start = ["start", "--run-key", "k", "--on-partition", "stop", "--", "sleep", "600"];
  const job = await cutOff.json(start);
  await cutOff.untilPublished();
  proxy.leave();
  process.kill(job.worker_pid!, "SIGKILL");
  const seen = await until("its key is free elsewhere, and was given away", async () => {
    const answer = await other.json(start);
    return !answer.existing && { answer, isOrphanAlive: isAlive(job.target_pid!) };
  });
  expect(seen).toMatchObject({ isOrphanAlive: false, answer: { attempt_no: 2 } });
  await other.json(["cancel", "--run-key", "k"]);
});
