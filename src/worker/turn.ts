/** A worker between two attempts: it waits until its attempt may begin, and leaves the waiting when it is asked to. */
import type { Job, Outcome } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { reap } from "../linux/children.ts";
import { bootTimeMs, now, turn } from "../linux/clock.ts";
import { releaseMemory } from "../linux/self.ts";
import { signalName } from "../linux/signals.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import type { RetryingStore } from "../state/retrying-store.ts";
import type { JobStore } from "../store/store.ts";
import { findOrAdopt, type Settle } from "./adopt.ts";
import { UNKNOWN } from "./outcome.ts";
import { lacksCopier } from "./output.ts";
import { catchUpOutput } from "./lost-catch-up.ts";
import type { FleetWatch } from "../fleet/watch.ts";
import type { SignalRelay } from "./signal-relay.ts";
import type { WakeUps } from "./wake-ups.ts";

/** Longest sleep, in ms: a timer does not count the time that the machine is suspended. */
const LONGEST_SLEEP_MS = 30_000;

/** How soon to look whether the registry has accepted the attempt, in ms, if nobody wakes us. */
const FIRST_PAUSE_MS = 1_000;

interface Turn {
  readonly context: Context;
  readonly retryingStore: RetryingStore;
  readonly jobId: string;
  /** On the clock of bootTimeMs. */
  readonly notBefore: number;
  readonly signals: SignalRelay;
  readonly wakeUps: WakeUps;
  readonly settle: Settle;
}

/**
 * Returns when the job may be claimed: its time has come, or its end is requested, or it is over. After a signal, returns the
 * outcome of an attempt that is not launched any more.
 */
export async function awaitTurn({
  context,
  retryingStore,
  jobId,
  notBefore,
  signals,
  wakeUps,
  settle,
}: Turn): Promise<Outcome | undefined> {
  // Background processes of the failed attempt are our children when their parents have ended.
  process.on("SIGCHLD", reap);
  reap();
  let wake = () => {};
  const stopHearing = wakeUps.hear(() => wake());
  signals.onHeard = () => wake();
  // Signals that came while this process became another program reach their listeners.
  await turn();
  let known = await look(retryingStore, jobId);
  const failed = known?.retry?.ofJobId == null ? undefined : await look(retryingStore, known.retry.ofJobId);
  if (failed !== undefined) await keepCopying(context, failed);
  let partition: string | undefined;
  const fleet =
    known &&
    (await watchFleet(context, known, (why) => {
      partition ??= why;
      wake();
    }));
  const putBack = async () => {
    const last = known;
    if (last !== undefined)
      await retryingStore.write((store) => restore(context, store, failed, last, settle));
  };
  for (let pauseMs = FIRST_PAUSE_MS; ;) {
    const { promise: woken, resolve } = Promise.withResolvers<void>();
    wake = resolve;
    const current = await look(retryingStore, jobId);
    known = current ?? known;
    if (current !== undefined && (!isActive(current.status) || current.cancelRequest !== null)) break;
    fleet?.look();
    const rest = notBefore - bootTimeMs();
    const isAccepted = fleet === undefined || known?.fencingToken !== null;
    if (signals.heard.size > 0 || partition !== undefined || (rest <= 0 && isAccepted)) break;
    if (rest <= 0) {
      debug?.note("waits until the registry has accepted its attempt");
      if (current === undefined) await putBack();
      // The key has another job by now.
      if ((await look(retryingStore, jobId)) === undefined) break;
    } else debug?.note(`waits ${Math.round(rest)} ms for its attempt`);
    retryingStore.disconnect();
    releaseMemory();
    if (await sleep(rest > 0 ? notBefore : bootTimeMs() + pauseMs, woken))
      debug?.note("woken while it waits");
    if (rest <= 0) pauseMs = Math.min(2 * pauseMs, LONGEST_SLEEP_MS);
  }
  stopHearing();
  fleet?.end();
  process.off("SIGCHLD", reap);
  signals.onHeard = undefined;
  await putBack();
  const [signal] = signals.heard;
  if (signal !== undefined)
    return notLaunched(`${signalName(signal)} came while the job waited for its next attempt`);
  return partition === undefined ? undefined : { ...notLaunched(partition), failure: "partitioned" };
}

function notLaunched(error: string): Outcome {
  return { ...UNKNOWN, exitCode: -1, error, failure: "not_launched" };
}

/** In a fleet, a worker without a command sees to it that its member has an agent, and hears when its job has to end. */
export async function watchFleet(
  { home }: Context,
  job: Job,
  stop: (why: string) => void,
): Promise<FleetWatch | undefined> {
  if (job.onPartition === null) return undefined;
  return new (await import("../fleet/watch.ts")).FleetWatch(home, job, stop);
}

function look(retryingStore: RetryingStore, jobId: string): Promise<Job | undefined> {
  return retryingStore.write((store) => store.find(jobId));
}

/** Sleeps until an instant on the clock of bootTimeMs, or until it is woken: then returns true. */
async function sleep(until: number, woken: Promise<void>): Promise<boolean> {
  const awake = woken.then(() => true);
  for (;;) {
    const rest = until - bootTimeMs();
    if (rest <= 0) return false;
    const slept = Bun.sleep(Math.min(rest, LONGEST_SLEEP_MS)).then(() => false);
    if (await Promise.race([awake, slept])) return true;
  }
}

/** Puts the attempt back if the database does not know it. */
async function restore(
  context: Context,
  store: JobStore,
  failed: Job | undefined,
  known: Job,
  settle: Settle,
): Promise<void> {
  if ((await store.find(known.jobId)) !== undefined) return;
  debug?.note("the database does not know the attempt: puts it back");
  if (failed !== undefined && (await repeat(store, failed, known)) !== undefined) return;
  // The registry of a fleet accepts an attempt only together with the end of the one before.
  if (failed !== undefined && known.onPartition !== null) await store.adopt(failed);
  await findOrAdopt(context, store, known, settle);
}

/**
 * Somebody has put an older backup of the database there, in which the failed attempt still runs: records its failure and this
 * attempt once more. Undefined if it does not run there.
 */
async function repeat(store: JobStore, failed: Job, known: Job): Promise<Job | undefined> {
  const { origin, worker, token } = known;
  if (origin === null || worker === null || token === null) return undefined;
  const { jobId, target, finishedAt, leftBehind, exitCode, signal, error, failure, usage } = failed;
  const next = { ...known, origin, worker, token };
  return store.retry(
    jobId,
    { exitCode, signal, error, failure, usage },
    target,
    finishedAt ?? now(),
    leftBehind,
    next,
    now(),
  );
}

/** Daemons that the failed attempt left behind may still write, and the process that copied their output became this one. */
async function keepCopying(context: Context, failed: Job): Promise<void> {
  if (failed.output === "pipe" && lacksCopier(context.home, failed)) await catchUpOutput(context, [failed]);
}
