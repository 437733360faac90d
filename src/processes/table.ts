/**
 * Decides which processes belong to a job, by four witnesses. A process can shed each of them, but hardly all: the job's id
 * and token in its environment; the session or group of the target; a parent that belongs to the job (the worker, as long as
 * it lives, for those whose parents died); and the lock on the job's output files, which every process that inherited them
 * holds. If /proc hides processes (hidepid=), the target, the processes that the worker has named and the worker's children
 * are looked up by pid.
 */
import { isHookDue } from "../job/hook.ts";
import {
  areDifferentBoots,
  type HookKind,
  isSameProcess,
  type Job,
  type Origin,
  type ProcessIdentity,
} from "../job/job.ts";
import { libc } from "../linux/ffi/libc.ts";
import { identify, lives, readChildren } from "../linux/pidfd.ts";
import { type ProcessStat, readProcess } from "../linux/self.ts";
import { probeGroup } from "../linux/signals.ts";
import { isWorkerCommand } from "./find-worker.ts";
import {
  ageOf,
  commandLine,
  HIDDEN,
  holdsLock,
  isHiding,
  type Marks,
  ownerOf,
  readMarks,
  readProcesses,
} from "./proc.ts";
import { hookMark, isHookOf } from "./variables.ts";

/** How far the start of a Python job's target may be from its row's started_at, in seconds: Python did not do both at once. */
const LEGACY_START_TOLERANCE_S = { before: 2, after: 60 };

export interface Evidence {
  /** The job's output files that are locked. */
  readonly heldLogs: readonly string[];
  /** Processes for which the environment is no sufficient witness. */
  readonly excludedPids: ReadonlySet<number>;
  /**
   * Whether the number of a session is a sufficient witness even if its leader, the target, may be dead: a daemon that got the
   * number later looks the same. That is enough to block a key, but not enough to kill.
   */
  readonly trustSession: boolean;
}

export class ProcessTable {
  readonly #processes: readonly ProcessStat[];
  readonly #origin: Origin;
  readonly #marks = new Map<number, Marks>();

  constructor(origin: Origin) {
    this.#origin = origin;
    this.#processes = readProcesses().filter((entry) => entry.pid !== process.pid);
  }

  /** Returns the living processes of a job, without its worker, oldest first. */
  ofJob(job: Job, { heldLogs, excludedPids, trustSession }: Evidence): readonly ProcessStat[] {
    const session = trustSession ? this.#liveSession(job) : undefined;
    // After the job's end the worker's children are the hook's, which have no environment yet while they start.
    const keeper = isHookDue(job) ? undefined : this.#livingWorker(job);
    const members = new Map<number, ProcessStat>();
    for (const entry of this.#processes) {
      if (this.#isWorker(entry, job) || this.#isHook(entry, job)) continue;
      if (this.#isKnown(entry, job)) {
        members.set(entry.pid, entry);
        continue;
      }
      const named = this.#jobOf(entry, job);
      // The Python orchesjob's target leads neither; its own pid must do.
      const inSession =
        session !== undefined && [entry.session, entry.processGroup, entry.pid].includes(session);
      // Processes whose parents died become the worker's children.
      const isKept = keeper !== undefined && entry.parentPid === keeper;
      const isMember = () => inSession || isKept || (heldLogs.length > 0 && holdsLock(entry.pid, heldLogs));
      // A process that only has the job's variables may have got them by hand: the shell of somebody who cancels the job, for
      // example.
      const isNamed = named === job.jobId && (!excludedPids.has(entry.pid) || isMember());
      if (isNamed || (named === undefined && isMember())) members.set(entry.pid, entry);
    }
    for (const entry of this.#hiddenOf(job, keeper)) members.set(entry.pid, entry);
    this.#addChildren(members, job);
    return [...members.values()].sort((a, b) => a.startTicks - b.startTicks);
  }

  /** Whether the target's process group has a member that /proc hides from us. */
  hasHidden(job: Job): boolean {
    const session = isHiding() ? this.#liveSession(job) : undefined;
    if (session === undefined || session <= 1) return false;
    const members = probeGroup(session);
    // A leader that we see is not hidden, and may be a zombie.
    return members === "foreign" || (members === "ours" && readProcess(session) === undefined);
  }

  /** Returns the living processes of a job's hook, by their environment, or because they inherited its output. */
  ofHook(job: Job, kind: HookKind, log: string): readonly ProcessStat[] {
    const mark = hookMark(job.jobId, kind);
    const isIts = (entry: ProcessStat) => this.#isHook(entry, job) && this.#marksOf(entry).hookOf === mark;
    return this.#processes.filter(
      (entry) => (isIts(entry) && !isHookRunner(commandLine(entry.pid))) || holdsLock(entry.pid, [log]),
    );
  }

  /**
   * Whether a living child of this process, the worker of the job, does not belong to the job: the worker of a job that was
   * started from within it, a process that such a worker has left behind, or one of a hook.
   */
  isStranger(pid: number, job: Job): boolean {
    if (pid === job.target?.pid) return false;
    const { jobId, hookOf } = readMarks(pid);
    return jobId !== undefined && (jobId !== job.jobId || isHookOf(hookOf, jobId));
  }

  /** Whether it is the target, or a process that the worker has named as left behind, however that has changed since. */
  #isKnown(entry: ProcessStat, job: Job): boolean {
    const { target, leftBehind } = job;
    const isOne = (known: ProcessIdentity) =>
      known.startTicks === 0 ? entry.pid === known.pid && lives(known) : isSameProcess(entry, known);
    if (job.origin === null || !this.#isOurs(job.origin)) return false;
    return (target !== null && isOne(target)) || leftBehind?.some(isOne) === true;
  }

  /** Returns the living processes that are known by their pids and that /proc does not show. */
  #hiddenOf({ target, leftBehind, origin }: Job, keeper: number | undefined): readonly ProcessStat[] {
    if (origin === null || !this.#isOurs(origin)) return [];
    const asked = new Map<number, ProcessIdentity>();
    for (const pid of (keeper !== undefined && readChildren(keeper)) || []) asked.set(pid, identify(pid));
    for (const known of [...(leftBehind ?? []), ...(target === null ? [] : [target])])
      asked.set(known.pid, known);
    return [...asked.values()]
      .filter((known) => readProcess(known.pid) === undefined && lives(known))
      .map((known) => ({ ...known, ...HIDDEN }));
  }

  /** The worker's pid, if it lives and its pid is valid here. */
  #livingWorker({ worker, origin }: Job): number | undefined {
    if (worker === null || origin === null || !this.#isOurs(origin)) return undefined;
    const isSelf = isSameProcess(worker, readProcess(process.pid));
    const isThere = (entry: ProcessStat) => isSameProcess(entry, worker);
    return isSelf || this.#processes.some(isThere) ? worker.pid : undefined;
  }

  /** Whether pids of that origin are valid here. */
  #isOurs(origin: Origin): boolean {
    return !areDifferentBoots(origin, this.#origin) && origin.pidNamespace === this.#origin.pidNamespace;
  }

  /** Whether the target itself is visible: then every process in its session is the job's. */
  seesTarget(job: Job): boolean {
    const holder = this.#processes.find((entry) => entry.pid === job.target?.pid);
    return holder !== undefined && this.#liveSession(job) !== undefined;
  }

  /** The target's session, if its number has not been reused since the job recorded it. */
  #liveSession(job: Job): number | undefined {
    const { target, origin } = job;
    if (target === null) return undefined;
    const holder = this.#processes.find((entry) => entry.pid === target.pid);
    if (origin === null) return holder && isLegacyTarget(holder, job) ? target.pid : undefined;
    if (!this.#isOurs(origin)) return undefined;
    // A number stays in use while any process has it as its session, so only a new holder means that it was reused.
    const leader = holder ?? readProcess(target.pid);
    if (leader === undefined) return target.pid;
    const isSame = target.startTicks === 0 ? lives(target) : isSameProcess(leader, target);
    return isSame ? target.pid : undefined;
  }

  #addChildren(members: Map<number, ProcessStat>, job: Job): void {
    for (let grown = true; grown;) {
      grown = false;
      for (const entry of this.#processes) {
        if (members.has(entry.pid) || !members.has(entry.parentPid)) continue;
        if (this.#isWorker(entry, job) || this.#isHook(entry, job)) continue;
        // A job started from within this one has an id of its own, and its own processes.
        const named = this.#jobOf(entry, job);
        if (named !== undefined && named !== job.jobId) continue;
        members.set(entry.pid, entry);
        grown = true;
      }
    }
  }

  #isWorker(entry: ProcessStat, job: Job): boolean {
    if (isSameProcess(entry, job.worker)) return true;
    return this.#jobOf(entry, job) === job.jobId && isWorkerCommand(commandLine(entry.pid), job.jobId);
  }

  /**
   * Returns the job that a process claims to belong to; undefined if it claims none, or claims ours without proof. Jobs of
   * older versions have no token: there the process must at least be our own user's.
   */
  #jobOf(entry: ProcessStat, job: Job): string | undefined {
    const { jobId, token } = this.#marksOf(entry);
    if (jobId !== job.jobId) return jobId;
    const isProved = job.token === null ? ownerOf(entry.pid) === libc.geteuid() : token === job.token;
    return isProved ? jobId : undefined;
  }

  #isHook(entry: ProcessStat, job: Job): boolean {
    return isHookOf(this.#marksOf(entry).hookOf, job.jobId) && this.#jobOf(entry, job) === job.jobId;
  }

  #marksOf(entry: ProcessStat): Marks {
    const known = this.#marks.get(entry.pid) ?? readMarks(entry.pid);
    this.#marks.set(entry.pid, known);
    return known;
  }
}

/** Whether it is a process that runs hooks, which is not one of a hook's processes: see hooks/spawn.ts. */
function isHookRunner(words: readonly string[]): boolean {
  return words.includes("_hook");
}

/** Whether a process is the target of a Python job, which has no recorded start time: it must be close to the row's. */
function isLegacyTarget(entry: ProcessStat, job: Job): boolean {
  const startedAt = Date.now() / 1000 - (ageOf(entry) ?? 0);
  const noted = job.startedAt / 1_000_000;
  return (
    startedAt >= noted - LEGACY_START_TOLERANCE_S.before &&
    startedAt <= noted + LEGACY_START_TOLERANCE_S.after
  );
}
