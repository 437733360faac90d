/** doctor's checks of the jobs: workers, processes that still run, files without a job, jobs without their logs. */
import { isSameProcess, type Job } from "../job/job.ts";
import { timeAgo } from "../jobs/job-files.ts";
import { sweepOrphanedFiles } from "../jobs/orphaned-files.ts";
import { hasOrphans, OrphanFinder } from "../jobs/orphan-finder.ts";
import { reconcile } from "../jobs/reconcile.ts";
import { unknownJobsError } from "../jobs/unknown-jobs-error.ts";
import { findUnknownJobs, restoreFromWorkers } from "../jobs/unknown-jobs.ts";
import { readProcess } from "../linux/self.ts";
import { isOwnerGone } from "../processes/liveness.ts";
import { statLog } from "../state/log-directory.ts";
import { lockFilePath, logFiles } from "../state/paths.ts";
import type { CleanCandidate, JobStore } from "../store/store.ts";
import { type CheckContext, isFinding } from "./check-context.ts";
import { countText, type Finding, listText, ok, problem, SHOWN, warning } from "./finding.ts";

const nameOf = (job: Job) => `${job.jobId} (${JSON.stringify(job.runKey)})`;

export async function checkWorkers(checkContext: CheckContext): Promise<Finding> {
  const store = await checkContext.store();
  if (isFinding(store)) return store;
  const { context } = checkContext;
  const unknown = await findUnknownJobs(context, store);
  if (unknown.length > 0) {
    const { what, hint = "" } = unknownJobsError(context, unknown);
    return problem(what, hint, async () => {
      const count = await restoreFromWorkers(context, store);
      return countText(count, "job was put back by its worker", "jobs were put back by their workers");
    });
  }
  const active = await store.active();
  const lost = active.filter((job) =>
    isOwnerGone(job, lockFilePath(checkContext.home, job.jobId), context.origin),
  );
  if (lost.length > 0) {
    return warning(
      `${lost.length} of ${countText(active.length, "active job", "active jobs")} ${lost.length === 1 ? "has" : "have"} no worker any more: ${listText(lost.map(nameOf))}`,
      `orchesjob list, or any other command that reads ${lost.length === 1 ? "it, records it" : "them, records them"} as LOST`,
      async () => {
        for (const job of lost) await reconcile(context, store, job, true);
        return `recorded as LOST: ${listText(lost.map(nameOf))}`;
      },
    );
  }
  const stopped = active.filter(isStopped);
  if (stopped.length > 0) {
    return warning(
      `${countText(stopped.length, "worker is", "workers are")} stopped and cannot record results: ${listText(stopped.map(nameOf))}`,
      `kill -CONT ${stopped[0]!.worker!.pid}`,
    );
  }
  return ok(active.length === 0 ? "no job is active" : `${active.length} active, each with its worker`);
}

function isStopped({ worker }: Job): boolean {
  const holder = worker === null ? undefined : readProcess(worker.pid);
  return holder?.state === "T" && isSameProcess(holder, worker);
}

/** How many of the newest jobs of each status are checked: older ones will hardly have living processes. */
const ENDED_JOBS = 10_000;

export async function checkOrphans(checkContext: CheckContext): Promise<Finding> {
  const store = await checkContext.store();
  if (isFinding(store)) return store;
  const finder = new OrphanFinder(checkContext.context);
  const filter = {
    labels: new Map(),
    runKeyPrefix: "",
    since: undefined,
    until: undefined,
    limit: ENDED_JOBS,
  };
  const jobs: Job[] = [];
  for (const status of ["LOST", "CANCELLED", "FAILED"] as const)
    jobs.push(...(await store.list({ ...filter, statuses: [status] })));
  const found = jobs
    .map((job) => ({ job, orphans: finder.find(job) }))
    .filter(({ orphans }) => hasOrphans(orphans));
  await finder.keep();
  if (found.length === 0) return ok("no process is left of a job that was lost, cancelled or timed out");
  const described = found.map(({ job, orphans }) => {
    const who = orphans.pids.length > 0 ? `pids ${orphans.pids.join(", ")}` : "not visible from here";
    return `${nameOf(job)}: ${who}`;
  });
  const first = found[0]!;
  const { hint } = (await import("../jobs/survivors.ts")).describeSurvivors(
    checkContext.context,
    first.job,
    first.orphans,
  );
  return warning(
    `processes of jobs that were lost, cancelled or timed out still run, and block their keys: ${listText(described)}`,
    hint,
  );
}

/** A warning for logs without a job that are older: the `clean` in the hint would delete them. */
const OLD_LOGS = "30d";
const OLD_LOGS_MS = 30 * 86_400_000;

export async function checkLeftovers(checkContext: CheckContext): Promise<Finding> {
  const store = await checkContext.store();
  if (isFinding(store)) return store;
  const { context, home } = checkContext;
  const paths: string[] = [];
  const dryRun = (path: string) => void paths.push(path);
  const { keptLogs } = await sweepOrphanedFiles(context, store, { before: timeAgo(OLD_LOGS_MS), dryRun });
  const kept =
    keptLogs === 0
      ? ""
      : `; ${countText(keptLogs, "log without a job is", "logs without a job are")} kept: younger than ${OLD_LOGS}, or still open`;
  if (paths.length === 0) return ok(`no file without a job that clean would delete${kept}`);
  // Deletes lock files only. Logs may still be wanted, e.g. after the database was moved away: `clean` deletes them by age.
  const fix = async () => {
    const { orphanedFiles } = await sweepOrphanedFiles(context, store, {
      before: undefined,
      dryRun: undefined,
    });
    return `deleted ${countText(orphanedFiles, "lock file", "lock files")}`;
  };
  return warning(
    `${countText(paths.length, "file belongs", "files belong")} to no job: ${listText(paths)}${kept}`,
    `save what you still want, then: orchesjob clean --older-than ${OLD_LOGS}`,
    paths.some((path) => path.startsWith(`${home.locks}/`)) ? fix : undefined,
  );
}

const PAGE = 5_000;

export async function checkLogs(checkContext: CheckContext): Promise<Finding> {
  const store = await checkContext.store();
  if (isFinding(store)) return store;
  const missing: string[] = [];
  let count = 0;
  for await (const candidate of allFinished(store)) {
    const logs = logFiles(checkContext.home, candidate.jobId);
    if ([logs.stdout, logs.stderr].every((path) => statLog(path) !== undefined)) continue;
    const job = await store.find(candidate.jobId);
    // Without a target, no log was ever opened: the job was cancelled or lost before its command started.
    if (job === undefined || job.target === null) continue;
    count += 1;
    if (missing.length < SHOWN) missing.push(nameOf(job));
  }
  if (count === 0) return ok("every finished job has its logs");
  return warning(
    `${countText(count, "finished job has", "finished jobs have")} lost a log: ${listText(missing, count)}`,
    "find out who deletes files in logs/ (orchesjob clean deletes the job as well); they cannot be restored",
  );
}

async function* allFinished(store: JobStore): AsyncGenerator<CleanCandidate> {
  for (let cursor: CleanCandidate | undefined; ;) {
    const page = await store.finishedBefore(Number.MAX_SAFE_INTEGER, PAGE, cursor);
    yield* page;
    cursor = page.at(-1);
    if (cursor === undefined) return;
  }
}
