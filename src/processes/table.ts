/**
 * Which processes belong to a job. Four witnesses, each of which a process can shed, but hardly all of them:
 * the job's id and token in its environment, the session or group of the target, a parent that belongs to the job (the worker
 * for those whose parents died, as long as it lives), and the lock on the job's log files, which whoever inherited them holds.
 * Where /proc hides processes (hidepid=), the target, those that the worker has named, and its children are asked for by number.
 */
import { isHookDue } from "../job/hook.ts";
import { areDifferentBoots, isSameProcess, type Job, type Origin, type ProcessIdentity } from "../job/job.ts";
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

/** How far a legacy target's start may lie from its row's started_at, in seconds: Python noted the one before the other. */
const LEGACY_START_TOLERANCE_S = { before: 2, after: 60 };

export interface Evidence {
  /** Those of the job's log files that are locked. */
  readonly heldLogs: readonly string[];
  /** Processes that need a better witness than their environment. */
  readonly excludedPids: ReadonlySet<number>;
  /** Whether the number of a session is witness enough, though its leader, the target, may be dead: a daemon that got the
   *  number later looks the same. Enough to keep a key from running; not enough to kill. */
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

  /** The living processes of a job, but for its worker, oldest first. */
  ofJob(job: Job, { heldLogs, excludedPids, trustSession }: Evidence): readonly ProcessStat[] {
    const session = trustSession ? this.#liveSession(job) : undefined;
    // After the end its children are those of the hook, which have no environment yet while they come to be.
    const keeper = isHookDue(job) ? undefined : this.#livingWorker(job);
    const members = new Map<number, ProcessStat>();
    for (const entry of this.#processes) {
      if (this.#isWorker(entry, job) || this.#isHook(entry, job)) continue;
      if (this.#isKnown(entry, job)) {
        members.set(entry.pid, entry);
        continue;
      }
      const named = this.#jobOf(entry, job);
      // The Python orchesjob's target leads neither; its own number must do.
      const inSession =
        session !== undefined && [entry.session, entry.processGroup, entry.pid].includes(session);
      // The worker is given those whose parents died.
      const isKept = keeper !== undefined && entry.parentPid === keeper;
      const isMember = () => inSession || isKept || (heldLogs.length > 0 && holdsLock(entry.pid, heldLogs));
      // Who only has the job's id in its environment may have got it by hand, as the shell of somebody who cancels it.
      const isNamed = named === job.jobId && (!excludedPids.has(entry.pid) || isMember());
      if (isNamed || (named === undefined && isMember())) members.set(entry.pid, entry);
    }
    for (const entry of this.#hiddenOf(job, keeper)) members.set(entry.pid, entry);
    this.#addChildren(members, job);
    return [...members.values()].sort((a, b) => a.startTicks - b.startTicks);
  }

  /** Whether the target's group has somebody in it whom /proc hides from us. */
  hasHidden(job: Job): boolean {
    const session = isHiding() ? this.#liveSession(job) : undefined;
    if (session === undefined || session <= 1) return false;
    const members = probeGroup(session);
    // A leader whom we see is ours, and may be a zombie.
    return members === "foreign" || (members === "ours" && readProcess(session) === undefined);
  }

  /** The living processes of a job's hook, by their environment, or because they inherited its output. */
  ofHook(job: Job, log: string): readonly ProcessStat[] {
    return this.#processes.filter(
      (entry) =>
        (this.#isHook(entry, job) && !isHookRunner(commandLine(entry.pid))) || holdsLock(entry.pid, [log]),
    );
  }

  /**
   * Whether a living process that is a child of this one, the worker of the job, is not the job's: the worker of a job that
   * was started from within it, or what such a worker has left.
   */
  isStranger(pid: number, job: Job): boolean {
    if (pid === job.target?.pid) return false;
    const named = readMarks(pid).jobId;
    return named !== undefined && named !== job.jobId;
  }

  /** Whether it is the target, or one that the worker has named as left behind; whatever it has made of itself. */
  #isKnown(entry: ProcessStat, job: Job): boolean {
    const { target, leftBehind } = job;
    const isOne = (known: ProcessIdentity) =>
      known.startTicks === 0 ? entry.pid === known.pid && lives(known) : isSameProcess(entry, known);
    if (job.origin === null || !this.#isOurs(job.origin)) return false;
    return (target !== null && isOne(target)) || leftBehind?.some(isOne) === true;
  }

  /** Those of the processes that are known by their numbers which live, and which /proc does not show. */
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

  /** The worker's pid, where it lives and its number means something here. */
  #livingWorker({ worker, origin }: Job): number | undefined {
    if (worker === null || origin === null || !this.#isOurs(origin)) return undefined;
    const isSelf = isSameProcess(worker, readProcess(process.pid));
    const isThere = (entry: ProcessStat) => isSameProcess(entry, worker);
    return isSelf || this.#processes.some(isThere) ? worker.pid : undefined;
  }

  /** Whether numbers of that origin mean something here. */
  #isOurs(origin: Origin): boolean {
    return !areDifferentBoots(origin, this.#origin) && origin.pidNamespace === this.#origin.pidNamespace;
  }

  /** Whether the target itself is there: then whatever is in its session is the job's. */
  seesTarget(job: Job): boolean {
    const holder = this.#processes.find((entry) => entry.pid === job.target?.pid);
    return holder !== undefined && this.#liveSession(job) !== undefined;
  }

  /** The target's session, if its number still means what it meant when the job noted it. */
  #liveSession(job: Job): number | undefined {
    const { target, origin } = job;
    if (target === null) return undefined;
    const holder = this.#processes.find((entry) => entry.pid === target.pid);
    if (origin === null) return holder && isLegacyTarget(holder, job) ? target.pid : undefined;
    if (!this.#isOurs(origin)) return undefined;
    // A number stays taken while any process has it as its session, so only a new holder means that it was reused.
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
        // A job started from within this one has an id of its own, and a life of its own.
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
   * The job that a process says it belongs to; undefined where it says none, or says ours and does not prove it. Older versions
   * gave their jobs no token: there it must at least be a process of our own user.
   */
  #jobOf(entry: ProcessStat, job: Job): string | undefined {
    const { jobId, token } = this.#marksOf(entry);
    if (jobId !== job.jobId) return jobId;
    const isProved = job.token === null ? ownerOf(entry.pid) === libc.geteuid() : token === job.token;
    return isProved ? jobId : undefined;
  }

  #isHook(entry: ProcessStat, job: Job): boolean {
    return this.#marksOf(entry).hookOf === job.jobId && this.#jobOf(entry, job) === job.jobId;
  }

  #marksOf(entry: ProcessStat): Marks {
    const known = this.#marks.get(entry.pid) ?? readMarks(entry.pid);
    this.#marks.set(entry.pid, known);
    return known;
  }
}

/** Who has come to run hooks is not one of their processes: see hooks/spawn.ts. */
function isHookRunner(words: readonly string[]): boolean {
  return words.includes("_hook");
}

/** The Python versions noted no start time of the target; its own must lie close to the row's. */
function isLegacyTarget(entry: ProcessStat, job: Job): boolean {
  const startedAt = Date.now() / 1000 - (ageOf(entry) ?? 0);
  const noted = job.startedAt / 1_000_000;
  return (
    startedAt >= noted - LEGACY_START_TOLERANCE_S.before &&
    startedAt <= noted + LEGACY_START_TOLERANCE_S.after
  );
}
