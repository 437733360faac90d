/** The worker: the one process that executes a job's command. It owns the job from the claim to the result. */
import { OrchesjobError } from "../job/errors.ts";
import type { Instant, Job, Outcome, ProcessIdentity } from "../job/job.ts";
import { now } from "../os/clock.ts";
import { closeFile, makeDirectory, openFile, removeFile, statPath } from "../os/file.ts";
import { lockFilePath, logFiles } from "../os/home.ts";
import { describeErrno, ERRNO, SystemError } from "../os/libc.ts";
import { announceRunning, lockDescriptor, moveUp } from "../os/lock.ts";
import { readIdentity } from "../os/self.ts";
import { PASSED_ON, signalName } from "../os/signals.ts";
import { closeAll, type ExitStatus, onExit, signalGroup, unblock } from "../os/spawn.ts";
import {
  adoptDescriptors,
  directoryExists,
  spawnTarget,
  waitForRelease,
  WORKER_LOCK_FD,
} from "../os/worker-process.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "./context.ts";

export interface WorkerRequest {
  readonly jobId: string;
  readonly fileLimit: bigint | undefined;
}

/** How long a worker tries to record that it begins, in ms. Then it ends without having run anything, and the key is free. */
const CLAIM_PATIENCE_MS = 120_000;
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1_000;

export async function runWorker(context: Context, request: WorkerRequest): Promise<void> {
  const { jobId, fileLimit } = request;
  adoptDescriptors();
  const signals = passSignalsOn();
  const ledger = new Ledger(context);
  waitForRelease();
  // Law 2: without the claim nothing is executed.
  const worker = readIdentity(process.pid);
  let attempts = 0;
  const job = await ledger.write(async (store) => {
    attempts += 1;
    // Where writing fails it may have failed for the launcher, too: without a job there is nothing to wait for.
    if (attempts > 1 && (await store.find(jobId)) === undefined) return undefined;
    return store.run(jobId, worker, context.origin, now());
  }, CLAIM_PATIENCE_MS);
  if (job === undefined) {
    removeFile(lockFilePath(context.home, jobId));
    return;
  }

  const { outcome, target, endedAt } = await execute(context, ledger, signals, job, fileLimit);
  await ledger.write((store) => store.finish(jobId, outcome, target, endedAt));
  removeFile(lockFilePath(context.home, jobId));
  closeFile(WORKER_LOCK_FD);
  await ledger.tidy();
}

interface Ending {
  readonly outcome: Outcome;
  readonly target: ProcessIdentity | null;
  readonly endedAt: Instant;
}

async function execute(
  context: Context,
  ledger: Ledger,
  signals: SignalRelay,
  job: Job,
  fileLimit: bigint | undefined,
): Promise<Ending> {
  let pid: number;
  try {
    pid = launch(context, job, fileLimit);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { outcome: { exitCode: -1, signal: null, error: message }, target: null, endedAt: now() };
  }
  signals.target(pid);
  const target = readIdentity(pid);
  const ended = new Promise<{ status: ExitStatus; endedAt: Instant }>((resolve) =>
    onExit(pid, (status) => {
      signals.end();
      resolve({ status, endedAt: now() });
    }),
  );
  await Promise.race([ledger.write((store) => store.recordTarget(job.jobId, target, now())), ended]);
  announceRunning(WORKER_LOCK_FD);
  const { status, endedAt } = await ended;
  return { outcome: toOutcome(status), target, endedAt };
}

function toOutcome(status: ExitStatus): Outcome {
  if ("code" in status) return { exitCode: status.code, signal: null, error: null };
  return { exitCode: -status.signal, signal: signalName(status.signal), error: null };
}

/** Opens the logs and executes the command with them as its output; returns its pid, or throws with the reason. */
function launch(context: Context, job: Job, fileLimit: bigint | undefined): number {
  const logs = logFiles(context.home, job.jobId);
  if (!directoryExists()) throw new Error(`the working directory ${job.cwd} is gone`);
  makeDirectory(context.home.logs);
  const outputs = [logs.stdout, logs.stderr].map((path) => {
    const fd = moveUp(openFile(path, "append"));
    lockDescriptor(fd, path);
    return fd;
  });
  try {
    return spawnTarget(job.command, outputs[0]!, outputs[1]!, fileLimit);
  } catch (error) {
    throw error instanceof SystemError ? new Error(explainLaunch(job.command[0]!, error)) : error;
  } finally {
    closeAll(outputs);
  }
}

/** Why a command could not be executed, for a person: the system's word alone is often about something else. */
function explainLaunch(file: string, error: SystemError): string {
  const name = JSON.stringify(file);
  if (!file.includes("/")) {
    if (error.errno === ERRNO.ENOENT) return `command not found: ${name} is in no directory of PATH`;
    return `cannot execute ${name}: ${describeErrno(error.errno)}`;
  }
  const facts = file.startsWith("/") ? statPath(file) : undefined;
  if (error.errno === ERRNO.ENOENT) {
    return facts === undefined
      ? `no such file: ${name}`
      : `cannot execute ${name}: the interpreter that its first line names does not exist`;
  }
  if (error.errno === ERRNO.EACCES) {
    if (facts?.kind === "directory") return `cannot execute ${name}: it is a directory`;
    return `cannot execute ${name}: permission denied; is it executable? chmod +x ${file}`;
  }
  if (error.errno === ERRNO.ENOEXEC)
    return `cannot execute ${name}: not a program that this system can run, and no #! line`;
  return `cannot execute ${name}: ${describeErrno(error.errno)}`;
}

interface SignalRelay {
  /** From now on signals go to this process's group; one that came before is delivered now. */
  target(pid: number): void;
  /** The command has ended: its group's number may soon be another's. */
  end(): void;
}

function passSignalsOn(): SignalRelay {
  let group: number | undefined;
  let early: number[] = [];
  for (const [name, number] of Object.entries(PASSED_ON)) {
    process.on(name, () => {
      if (group === undefined) early.push(number);
      else signalGroup(group, number);
    });
  }
  unblock(Object.values(PASSED_ON));
  return {
    target(pid) {
      group = pid;
      for (const number of early) signalGroup(pid, number);
      early = [];
    },
    end() {
      group = undefined;
    },
  };
}

/** Writes to the store until it succeeds (law 4): the disk may be full, the database locked, for as long as they like. */
class Ledger {
  #store: JobStore | undefined;

  constructor(readonly context: Context) {}

  /** Throws only when `patienceMs` is over. */
  async write<T>(verb: (store: JobStore) => Promise<T>, patienceMs = Number.POSITIVE_INFINITY): Promise<T> {
    const deadline = performance.now() + patienceMs;
    let pause = FIRST_PAUSE_MS;
    for (;;) {
      try {
        this.#store ??= this.context.createStore();
        return await verb(this.#store);
      } catch (error) {
        if (
          !(error instanceof OrchesjobError || error instanceof SystemError) ||
          performance.now() > deadline
        )
          throw error;
        if (error instanceof OrchesjobError && error.code === "locked") {
          // It has waited in line already, and goes to the end of it at once.
          pause = FIRST_PAUSE_MS;
        } else {
          // A connection that failed is not trusted again.
          this.#reset();
        }
        await Bun.sleep(pause);
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      }
    }
  }

  async tidy(): Promise<void> {
    await this.#store?.tidy();
  }

  #reset(): void {
    try {
      this.#store?.close();
    } catch {
      // It is given up anyway.
    }
    this.#store = undefined;
  }
}
