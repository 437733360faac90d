/** doctor's checks of the member itself: its agent, its lease, what it has not published yet. They need no network. */
import { type Lease, readLease } from "../fleet/lease.ts";
import { ensureAgent } from "../fleet/spawn-agent.ts";
import { formatDuration } from "../job/duration.ts";
import type { Instant } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { bootTimeMs, now } from "../linux/clock.ts";
import { probeLock } from "../linux/file-lock.ts";
import { type Home, memberFiles } from "../state/paths.ts";
import { type CheckContext, isFinding } from "./check-context.ts";
import { countText, type Finding, ok, problem, warning } from "./finding.ts";

const isRunning = (home: Home) => probeLock(memberFiles(home).agent) === "held";

/** How long a new agent may take until it has its lock, in ms. */
const AGENT_START_MS = 5_000;
const LOOK_MS = 10;

async function startAgent(home: Home): Promise<string> {
  ensureAgent(home);
  const deadline = performance.now() + AGENT_START_MS;
  while (!isRunning(home) && performance.now() < deadline) await Bun.sleep(LOOK_MS);
  return "started the agent";
}

export async function checkAgent(checkContext: CheckContext): Promise<Finding> {
  const store = await checkContext.store();
  if (isFinding(store)) return store;
  const { home, context } = checkContext;
  const active = (await store.active()).filter((job) => isActive(job.status)).length;
  const jobs = countText(active, "job is active", "jobs are active");
  if (!isRunning(home)) {
    if (active === 0) return ok("no job is active, so no agent is needed; the next start starts it");
    return warning(
      `no agent runs although ${jobs}`,
      "no action is needed if it has just died: a worker starts another one; otherwise orchesjob doctor --fix",
      () => startAgent(home),
    );
  }
  if (active === 0) return ok("the agent runs; no job is active");
  const lease = readLease(home, context.origin.bootId);
  if (lease === undefined)
    return warning(`${jobs}, but the agent has no lease yet`, "see fleet_registry above: can it be reached?");
  return judge(lease, jobs);
}

function judge({ deadline, leaseMs }: Lease, jobs: string): Finding {
  const left = deadline - bootTimeMs();
  const hint =
    "see fleet_registry above; if the registry answers, the agent hangs: end the process _agent, and a worker starts another one";
  if (left <= 0)
    return problem(
      `${jobs}, but the lease is over since ${rounded(-left)}: jobs with --on-partition stop are ended, the keys of the others wait`,
      hint,
    );
  const text = `the agent runs; ${rounded(left)} of the lease of ${formatDuration(leaseMs)} are left`;
  // It is renewed after a third, and a question may take a while.
  return left < leaseMs / 2 ? warning(`${text}: it was not renewed in time`, hint) : ok(text);
}

const ago = (at: Instant) => `${formatDuration((now() - at) / 1000)} ago`;
const rounded = (ms: number) => formatDuration(Math.ceil(ms / 1000) * 1000);

/** Changes that are just being published are gone after this time, in ms. */
const PUBLISH_MS = 2_000;

export async function checkChanges(checkContext: CheckContext): Promise<Finding> {
  const store = await checkContext.store();
  if (isFinding(store)) return store;
  const publications = await store.publications();
  if (!(await publications.isTracking()))
    return problem(
      "the database does not count what the registry must hear of (its triggers are missing)",
      "orchesjob doctor --fix",
      async () => {
        await publications.track();
        return "made the triggers again; all jobs will be published once more";
      },
    );
  const deadline = performance.now() + PUBLISH_MS;
  let count = await publications.count();
  while (count > 0 && isRunning(checkContext.home) && performance.now() < deadline) {
    await Bun.sleep(LOOK_MS);
    count = await publications.count();
  }
  const oldest = count > 0 ? (await publications.oldest())?.job : undefined;
  if (oldest === undefined) return ok("the registry has everything");
  const { jobId, finishedAt, startedAt } = oldest;
  const since = finishedAt === null ? `was started ${ago(startedAt)}` : `has ended ${ago(finishedAt)}`;
  return warning(
    `${countText(count, "change is", "changes are")} not published yet; job ${jobId}, the oldest of them, ${since}`,
    "they are kept until the registry has them: see fleet_registry above; orchesjob doctor --fix starts the agent",
    isRunning(checkContext.home)
      ? undefined
      : async () => {
          const text = await startAgent(checkContext.home);
          return `${text}, which publishes them`;
        },
  );
}
