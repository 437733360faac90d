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
import type { SignalRelay } from "./signal-relay.ts";
import type { WakeUps } from "./wake-ups.ts";

/** Longest sleep, in ms: a timer does not count the time that the machine is suspended. */
const LONGEST_SLEEP_MS = 30_000;

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
  const known = await look(retryingStore, jobId);
  const failed = known?.retry?.ofJobId == null ? undefined : await look(retryingStore, known.retry.ofJobId);
  if (failed !== undefined) await keepCopying(context, failed);
  for (let current = known; ;) {
    const { promise: woken, resolve } = Promise.withResolvers<void>();
    wake = resolve;
    current = await look(retryingStore, jobId);
    if (current !== undefined && (!isActive(current.status) || current.cancelRequest !== null)) break;
    const rest = notBefore - bootTimeMs();
    if (signals.heard.size > 0 || rest <= 0) break;
    debug?.note(`waits ${Math.round(rest)} ms for its attempt`);
    retryingStore.disconnect();
    releaseMemory();
    if (await sleep(notBefore, woken)) debug?.note("woken while it waits");
  }
  stopHearing();
  process.off("SIGCHLD", reap);
  signals.onHeard = undefined;
  if (known !== undefined)
    await retryingStore.write(async (store) => {
      if ((await store.find(jobId)) !== undefined) return;
      debug?.note("the database does not know the attempt: puts it back");
      if (failed === undefined || (await repeat(store, failed, known)) === undefined)
        await findOrAdopt(context, store, known, settle);
    });
  const [signal] = signals.heard;
  if (signal === undefined) return undefined;
  const error = `${signalName(signal)} came while the job waited for its next attempt`;
  return { ...UNKNOWN, exitCode: -1, error, failure: "not_launched" };
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
