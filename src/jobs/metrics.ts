/** Collects the data of `metrics`: all jobs, those that are really active, and sizes on disk. Creates nothing. */
import type { Instant, Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { now } from "../linux/clock.ts";
import { directorySize, type DirectorySize } from "../linux/directory-size.ts";
import { isThere } from "../linux/stat.ts";
import type { JobGroup, JobStore, Size, Statistics, StatisticsRequest } from "../store/store.ts";
import type { Context } from "../state/context.ts";
import type { FleetSnapshot } from "./fleet-metrics.ts";
import { reportMissingDatabase } from "./missing-database.ts";
import { restoreUnknownJobs } from "./restore-unknown-jobs.ts";
import { reconcile } from "./reconcile.ts";

export interface MetricsSnapshot extends Statistics {
  readonly at: Instant;
  /** Oldest first. */
  readonly active: readonly Job[];
  readonly size: Size;
  /** Undefined if not asked for. */
  readonly logs: DirectorySize | undefined;
  /** Undefined outside of a fleet. */
  readonly fleet: FleetSnapshot | undefined;
}

export async function readMetrics(
  context: Context,
  request: StatisticsRequest,
  withLogs: boolean,
): Promise<MetricsSnapshot> {
  const store = context.openStore();
  const logs = withLogs ? directorySize(context.home.logs) : undefined;
  if (store === undefined) {
    reportMissingDatabase(context);
    return {
      at: now(),
      active: [],
      groups: [],
      mergedLabelValues: 0,
      runKeys: [],
      omittedRunKeys: 0,
      size: { bytes: 0, pendingBytes: 0 },
      logs,
      fleet: await readFleet(context, store),
    };
  }
  await restoreUnknownJobs(context, store);
  const seen = await store.active();
  const jobs = await Promise.all(seen.map((job) => reconcile(context, store, job)));
  const statistics = await store.statistics(request);
  return {
    ...statistics,
    groups: await withUnrecorded(store, statistics.groups, seen, jobs, request.labels),
    at: now(),
    active: jobs.filter((job) => isActive(job.status)),
    size: await store.size(),
    logs,
    fleet: await readFleet(context, store),
  };
}

async function readFleet(context: Context, store: JobStore | undefined): Promise<FleetSnapshot | undefined> {
  if (!isThere(context.home.fleet)) return undefined;
  return (await import("./fleet-metrics.ts")).readFleetMetrics(context, store);
}

/** Corrects the counts for losses that could not be recorded (full disk): the store still counts those jobs as active. */
async function withUnrecorded(
  store: JobStore,
  groups: readonly JobGroup[],
  seen: readonly Job[],
  jobs: readonly Job[],
  labels: readonly string[],
): Promise<readonly JobGroup[]> {
  const corrections: JobGroup[] = [];
  for (const [index, { jobId, status, labels: given }] of jobs.entries()) {
    const before = seen[index]!.status;
    if (status !== "LOST" || (await store.find(jobId))?.status !== before) continue;
    const group = {
      labelValues: labels.map((label) => given.get(label) ?? ""),
      durations: [],
      totalDuration: 0,
    };
    corrections.push({ ...group, status: before, count: -1 }, { ...group, status, count: 1 });
  }
  return [...groups, ...corrections];
}
