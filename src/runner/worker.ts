/** The worker: the one process that executes a job's command. It owns the job from the claim to the result. */
import { formatExactly } from "../job/duration.ts";
import type { CancelRequest, Instant, Job, Outcome, ProcessIdentity } from "../job/job.ts";
import { scopeName } from "../job/scope.ts";
import { after, now } from "../os/clock.ts";
import { isInUnit, readMemoryKills } from "../os/control-group.ts";
import { closeFile, removeFile } from "../os/file.ts";
import { lockFilePath } from "../os/home.ts";
import { announceRunning } from "../os/lock.ts";
import { becomeLastToKill, becomeOrdinary } from "../os/oom-score.ts";
import { companyOf } from "../os/process-tree.ts";
import { isLiving, readIdentity, readProcess, releaseMemory } from "../os/self.ts";
import { onWritten, PASSED_ON, signalGroup, signalName } from "../os/signals.ts";
import { type ExitStatus, onExit, unblock } from "../os/spawn.ts";
import {
  becomeWorker,
  type TargetSettings,
  waitForRelease,
  WORKER_DIRECTORY_FD,
  WORKER_LOCK_FD,
} from "../os/worker-process.ts";
import type { Context } from "./context.ts";
import { launch, LaunchError } from "./launch.ts";
import { Ledger } from "./ledger.ts";
import { Deadline, DEFAULT_GRACE_MS, terminate } from "./terminate.ts";

export interface WorkerRequest {
  readonly jobId: string;
  readonly settings: TargetSettings;
  /** The job as `status` prints it, for its hook. */
  readonly describe: (job: Job) => string;
  /** Variables that are in our environment, and not the command's. */
  readonly unset: readonly string[];
}

/** How long a worker tries to record that it begins, in ms. Then it ends without having run anything, and the key is free. */
const CLAIM_PATIENCE_MS = 120_000;

/** A command that has not ended by then takes long: from there on the worker only waits, in as little memory as it can. */
const SETTLED_MS = 1_000;

export async function runWorker(
  context: Context,
  { jobId, settings, unset, describe }: WorkerRequest,
): Promise<void> {
  becomeWorker(unset);
  const signals = new SignalRelay();
  const pokes = new Pokes();
  const ledger = new Ledger(context);
  waitForRelease();
  const worker = readIdentity(process.pid);
  // The launcher may have died before it knew whether we are there; the kernel knows.
  const unit = isInUnit("self", scopeName(jobId)) ? scopeName(jobId) : null;
  let attempts = 0;
  // Law 2: without the claim nothing is executed.
  const job = await ledger.write(async (store) => {
    attempts += 1;
    // Where writing fails it may have failed for the launcher, too: without a job there is nothing to wait for.
    if (attempts > 1 && (await store.find(jobId)) === undefined) return undefined;
    return store.run(jobId, worker, { origin: context.origin, unit }, now());
  }, CLAIM_PATIENCE_MS);
  let hookLock: number | undefined;
  if (job !== undefined) {
    const { event, outcome, target, endedAt } = await execute({
      context,
      ledger,
      signals,
      pokes,
      job,
      settings,
    });
    // Held before anybody can know that the hook is due: nobody else starts it then.
    if (job.onExit !== null) hookLock = (await import("./hook-runner.ts")).takeHookLock(context, jobId);
    await ledger.write((store) => store.finish(jobId, event, outcome, target, endedAt));
  }
  removeFile(lockFilePath(context.home, jobId));
  closeFile(WORKER_LOCK_FD);
  // Only now: those who waited for the job know its end already, and its key is free.
  if (hookLock !== undefined) {
    const { fileLimit, directory = WORKER_DIRECTORY_FD } = settings;
    const { runHook } = await import("./hook.ts");
    // There is nothing to tell any more, and the hook would inherit it.
    becomeOrdinary();
    await runHook({ context, ledger, describe, settings: { fileLimit, directory } }, jobId, hookLock);
  }
  await ledger.tidy();
}

interface Execution {
  readonly context: Context;
  readonly ledger: Ledger;
  readonly signals: SignalRelay;
  readonly pokes: Pokes;
  readonly job: Job;
  readonly settings: TargetSettings;
}

interface Ending {
  readonly event: "succeed" | "fail" | "cancel";
  readonly outcome: Outcome;
  readonly target: ProcessIdentity | null;
  readonly endedAt: Instant;
}

async function execute({ context, ledger, signals, pokes, job, settings }: Execution): Promise<Ending> {
  if (job.cancelRequest !== null) {
    const outcome = { exitCode: null, signal: null, error: null, failure: null };
    return { event: "cancel", outcome, target: null, endedAt: now() };
  }
  const killsBefore = job.unit === null ? undefined : readMemoryKills(job.unit);
  let pid: number;
  try {
    pid = launch(context, job, settings);
  } catch (error) {
    const failed = error instanceof LaunchError ? error : new LaunchError(String(error));
    return { event: "fail", outcome: failed.outcome, target: null, endedAt: now() };
  }
  signals.relayTo(pid);
  // Only now, because the command would inherit it. What kills it for want of memory must leave somebody to tell.
  if (job.unit !== null) becomeLastToKill();
  const target = readIdentity(pid);
  let hasEnded = false;
  const { promise: ended, resolve } = Promise.withResolvers<{ status: ExitStatus; endedAt: Instant }>();
  onExit(pid, (status) => {
    hasEnded = true;
    signals.end();
    resolve({ status, endedAt: now() });
  });
  const stopper = new Stopper(context, { ...job, target });
  if (job.timeoutMs !== null) after(job.timeoutMs, () => stopper.stop("timeout", DEFAULT_GRACE_MS));

  void ledger
    .write((store) => store.recordTarget(job.jobId, target, now()))
    .then(() => {
      if (!hasEnded) announceRunning(WORKER_LOCK_FD);
    });
  pokes.hear(async () => {
    const { cancelRequest } = (await ledger.write((store) => store.find(job.jobId))) ?? job;
    if (cancelRequest !== null) stopper.cancel(cancelRequest);
  });

  const settle = setTimeout(() => {
    ledger.rest();
    releaseMemory();
  }, SETTLED_MS);
  const { status, endedAt } = await ended;
  clearTimeout(settle);
  const outcome = toOutcome(status);
  const reason = (await stopper.finished()) ?? (await findUnheardCancel(ledger, job, outcome));
  if (reason === "cancel") return { event: "cancel", outcome, target, endedAt };
  if (reason === "timeout") {
    const error = `timed out after ${formatExactly(job.timeoutMs ?? 0)}`;
    return { event: "fail", outcome: { ...outcome, error, failure: "timed_out" }, target, endedAt };
  }
  if (outcome.exitCode === 0) return { event: "succeed", outcome, target, endedAt };
  return { event: "fail", outcome: { ...outcome, ...findMemoryKill(job, killsBefore) }, target, endedAt };
}

/** What a failed command may owe to the memory limit of its scope; nothing where none of the job's processes was killed for it. */
function findMemoryKill(job: Job, killsBefore: number | undefined): Partial<Outcome> {
  if (job.unit === null || killsBefore === undefined) return {};
  const kills = (readMemoryKills(job.unit) ?? 0) - killsBefore;
  if (kills <= 0) return {};
  const limits = job.properties.filter((property) => property.startsWith("Memory"));
  const limit = limits.length === 0 ? "" : ` (${limits.join(", ")})`;
  const killed = kills === 1 ? "a process" : `${kills} processes`;
  return {
    error: `out of memory${limit}: the kernel has killed ${killed} of the job`,
    failure: "out_of_memory",
  };
}

/** Where somebody deleted the lock file no poke reaches us, and who asked for the end has brought it about himself. */
async function findUnheardCancel(ledger: Ledger, job: Job, outcome: Outcome): Promise<"cancel" | undefined> {
  if (outcome.signal === null) return undefined;
  const { cancelRequest } = (await ledger.write((store) => store.find(job.jobId))) ?? job;
  return cancelRequest === null ? undefined : "cancel";
}

function toOutcome(status: ExitStatus): Outcome {
  if ("code" in status) return { exitCode: status.code, signal: null, error: null, failure: null };
  return { exitCode: -status.signal, signal: signalName(status.signal), error: null, failure: null };
}

/** Ends the target before its time, for the first reason that comes, unless it has ended by itself. */
class Stopper {
  #reason: "cancel" | "timeout" | undefined;
  #deadline: Deadline | undefined;
  #done: Promise<unknown> | undefined;

  constructor(
    readonly context: Context,
    readonly job: Job,
  ) {}

  stop(reason: "cancel" | "timeout", graceMs: number, bystanders?: ReadonlySet<number>): void {
    this.#deadline?.shorten(graceMs);
    const { target } = this.job;
    if (this.#reason !== undefined || target === null || !isLiving(readProcess(target.pid))) return;
    this.#reason = reason;
    this.#deadline = new Deadline(graceMs);
    this.#done = terminate(this.context, this.job, this.#deadline, bystanders);
  }

  cancel(request: CancelRequest): void {
    this.stop("cancel", request.graceMs, companyOf(request.pid));
  }

  /** Once everything that was to end has ended: why, or undefined where nothing was. */
  async finished(): Promise<"cancel" | "timeout" | undefined> {
    await this.#done;
    return this.#reason;
  }
}

/** systemd signals every thread of ours: what comes in so many ms is one. */
const ONE_SIGNAL_MS = 5;

/** Passes signals on to the target's group; one that came before there was a target is delivered then. */
class SignalRelay {
  #group: number | undefined;
  #early: number[] = [];
  readonly #asking = new Set<number>();

  constructor() {
    for (const [name, number] of Object.entries(PASSED_ON)) {
      process.on(name, () => {
        if (this.#group === undefined) this.#early.push(number);
        else void this.#passOn(number);
      });
    }
    unblock(Object.values(PASSED_ON));
  }

  /** But for what systemd has sent to the target itself: some programs take a second TERM for a wish to end at once. */
  async #passOn(signal: number): Promise<void> {
    if (this.#asking.has(signal)) return;
    this.#asking.add(signal);
    const { isHeardBy } = await import("../os/unit.ts");
    await Bun.sleep(ONE_SIGNAL_MS);
    const target = this.#group === undefined ? undefined : readProcess(this.#group);
    const isHeard = target !== undefined && isHeardBy(target);
    this.#asking.delete(signal);
    if (this.#group !== undefined && !isHeard) signalGroup(this.#group, signal);
  }

  relayTo(group: number): void {
    this.#group = group;
    for (const number of this.#early) signalGroup(group, number);
    this.#early = [];
  }

  /** The command has ended: its group's number may soon be another's. */
  end(): void {
    this.#group = undefined;
  }
}

/** Somebody wrote to our lock file: there is a cancel request in the store. A poke before we listen is not lost. */
class Pokes {
  #listener: (() => void) | undefined;
  #missed = false;

  constructor() {
    onWritten(WORKER_LOCK_FD, () => {
      if (this.#listener === undefined) this.#missed = true;
      else this.#listener();
    });
  }

  hear(listener: () => void): void {
    this.#listener = listener;
    if (this.#missed) listener();
  }
}
