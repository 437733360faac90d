/** Jobs of other members of the fleet: what can be done about them from here. Loaded only for such a job. */
import { OrchesjobError } from "../job/errors.ts";
import { formatDuration } from "../job/duration.ts";
import type { Elsewhere } from "../job/fleet.ts";
import type { CancelRequest, Job } from "../job/job.ts";
import { commandLine, shellWord } from "../job/shell-word.ts";
import { isActive } from "../job/status.ts";
import { now, turn } from "../linux/clock.ts";
import type { Interruption } from "../linux/signals.ts";
import type { Context } from "../state/context.ts";
import { DEFAULT_HOME } from "../state/paths.ts";
import type { Fleet } from "../store/fleet.ts";
import type { JobStore } from "../store/store.ts";
import type { NamedJob } from "../job/request.ts";
import type { JobResult, LogEnd } from "./logs.ts";

/** The line that does something on the host of a job. */
export function commandOn({ host, home }: Elsewhere, words: readonly string[]): string {
  const place = home === DEFAULT_HOME ? [] : ["env", `ORCHESJOB_HOME=${shellWord(home)}`];
  return ["ssh", shellWord(host), ...place, commandLine(words)].join(" ");
}

async function fleetOf(context: Context): Promise<Fleet> {
  const fleet = await context.openFleet();
  if (fleet !== undefined) return fleet;
  throw new OrchesjobError(
    "conflict",
    `the state directory ${context.home.path} has left its fleet meanwhile`,
  );
}

/** Reads a job of another member again. */
export async function refreshElsewhere(context: Context, job: Job): Promise<Job> {
  const [found] = await (await fleetOf(context)).find(job.jobId, 1);
  if (found?.jobId === job.jobId) return found;
  throw new OrchesjobError(
    "not-found",
    `job ${job.jobId} of run key ${JSON.stringify(job.runKey)} has ended and was deleted from the registry (orchesjob clean --fleet) before its result was read`,
  );
}

/** The attempt that follows one of another member; undefined if there is none, or `clean --fleet` has deleted it. */
export async function findNextElsewhere(context: Context, { retry }: Job): Promise<Job | undefined> {
  const { nextJobId = null } = retry ?? {};
  if (nextJobId === null) return undefined;
  const [found] = await (await fleetOf(context)).find(nextJobId, 1);
  return found?.jobId === nextJobId ? found : undefined;
}

/** The job that a selector means in the whole fleet; undefined if there is none. Of our own jobs it knows no more than we do. */
export async function findElsewhere(
  context: Context,
  fleet: Fleet,
  selector: NamedJob,
  { here, store, name }: { readonly here: Job | undefined; readonly store: JobStore; readonly name: string },
): Promise<Job | undefined> {
  await fleet.catchUp(store);
  try {
    if ("runKey" in selector && selector.attemptNo !== undefined)
      return onlyOne(fleet, selector.attemptNo, here, await fleet.history(selector.runKey));
    const found =
      "runKey" in selector ? await fleet.newest(selector.runKey) : await findById(fleet, selector.jobId);
    if (found === undefined || fleet.isOwn(found)) return here;
    // After a recovery the job that holds the key may have the older token.
    const isHeld = found.elsewhere?.holdsKey === true;
    return !isHeld && (here?.fencingToken ?? 0) > (found.fencingToken ?? 0) ? here : found;
  } catch (error) {
    if (!(error instanceof OrchesjobError) || error.code !== "locked") throw error;
    if (here === undefined)
      throw new OrchesjobError(error.code, `this host has no ${name}, and ${error.what}`, error.hint);
    context.notify(
      `${error.what}; this is the newest job of this host, and another host may have a newer one`,
    );
    return here;
  }
}

/** The job of a key with this number. Throws `usage` if members had jobs with the same before they joined. */
function onlyOne(
  fleet: Fleet,
  attemptNo: number,
  here: Job | undefined,
  there: readonly Job[],
): Job | undefined {
  const numbered = there.filter((job) => job.attemptNo === attemptNo);
  const found = merge(fleet, here === undefined ? [] : [here], numbered);
  if (found.length < 2) return found[0];
  throw new OrchesjobError(
    "usage",
    `${found.length} jobs of run key ${JSON.stringify(found[0]!.runKey)} have the number ${attemptNo}: ${found.map(({ jobId, elsewhere }) => `${jobId} (${elsewhere?.host ?? "this host"})`).join(", ")}`,
    "name the one that you mean: --job-id ID",
  );
}

async function findById(fleet: Fleet, beginning: string): Promise<Job | undefined> {
  const found = await fleet.find(beginning, 2);
  if (found.length > 1 && found[0]!.jobId !== beginning)
    throw new OrchesjobError(
      "usage",
      `several job ids of the fleet begin with ${JSON.stringify(beginning)}: ${found.map(({ jobId }) => jobId).join(", ")}, …`,
      "give more characters of the one that you mean",
    );
  return found[0];
}

/** How often to ask at least, in ms: a notification may be lost. */
const SELDOM_MS = 2_000;
/** How often to look for a signal, in ms. */
const SIGNAL_MS = 100;

/** As waitForJob, for a job of another member; also goes on to the attempt that follows it. */
export async function waitElsewhere(
  context: Context,
  job: Job,
  wanted: (job: Job) => boolean,
  timeoutMs: number,
  interruption?: Pick<Interruption, "signal">,
): Promise<Job> {
  const fleet = await fleetOf(context);
  const deadline = performance.now() + timeoutMs;
  let current = job;
  let hasWarned = false;
  for (;;) {
    try {
      await fleet.awaitNews(current.jobId, 0);
      current = await refreshElsewhere(context, current);
      const next = await findNextElsewhere(context, current);
      if (next !== undefined) {
        current = next;
        continue;
      }
      hasWarned = false;
    } catch (error) {
      // The job goes on, whatever becomes of the registry.
      if (!(error instanceof OrchesjobError) || error.code !== "locked") throw error;
      if (!hasWarned) context.notify(`${error.what}; still waiting`);
      hasWarned = true;
      await Bun.sleep(SIGNAL_MS);
    }
    const lookAt = Math.min(deadline, performance.now() + SELDOM_MS);
    if (wanted(current) || performance.now() >= deadline) return current;
    const news = { isThere: false };
    const waiting = fleet.awaitNews(current.jobId, Math.max(1, lookAt - performance.now())).then(
      () => (news.isThere = true),
      () => undefined,
    );
    while (!news.isThere && performance.now() < lookAt) {
      await Promise.race([waiting, Bun.sleep(SIGNAL_MS)]);
      await turn();
      if (interruption?.signal !== undefined) return current;
    }
  }
}

/** How long after the grace period the member of a job may take to answer, in ms. */
const ANSWER_MS = 30_000;

/** Asks the member of a job to cancel it, and waits until it has. Throws `conflict` if it does not hear. */
export async function cancelElsewhere(
  context: Context,
  job: Job,
  order: Pick<CancelRequest, "reason" | "graceMs">,
): Promise<Job> {
  const fleet = await fleetOf(context);
  // A pid of ours means nothing on its host.
  const asked = await fleet.requestCancel(job.jobId, { at: now(), ...order, pid: 0 });
  const next = asked && (await findNextElsewhere(context, asked));
  // It has failed meanwhile, and is tried again.
  if (next !== undefined) return cancelElsewhere(context, next, order);
  const { elsewhere } = asked ?? job;
  if (asked === undefined || elsewhere === undefined || !elsewhere.holdsKey)
    throw new OrchesjobError(
      "conflict",
      `cannot cancel job ${job.jobId}: it is already ${(asked ?? job).status}`,
    );
  const isOver = (seen: Job) => !isActive(seen.status) && seen.elsewhere?.holdsKey !== true;
  const ended = await waitElsewhere(context, asked, isOver, order.graceMs + ANSWER_MS);
  if (isOver(ended)) return ended;
  throw new OrchesjobError(
    "conflict",
    `host ${elsewhere.host} has not ended job ${ended.jobId} yet${silence(ended.elsewhere)}; the request stays`,
    `see it there: ${commandOn(elsewhere, ["cancel", "--job-id", ended.jobId])}`,
  );
}

function silence(elsewhere: Elsewhere | undefined): string {
  return elsewhere === undefined || elsewhere.silentMs === 0
    ? ""
    : `, and has been silent for ${formatDuration(elsewhere.silentMs)}`;
}

/** The error for what only the host of a job can do, such as printing its logs. */
export function onlyThere(job: Job, words: readonly string[]): OrchesjobError {
  const { host, member } = job.elsewhere!;
  return new OrchesjobError(
    "conflict",
    `job ${job.jobId} is of member ${JSON.stringify(member)}, and its output is on host ${host}`,
    `run there: ${commandOn(job.elsewhere!, words)}`,
  );
}

/** The error for a key that is held by processes of a job that has ended. */
export function heldElsewhere(job: Job): OrchesjobError {
  const { what, hint } = describeHolder(job);
  return new OrchesjobError("conflict", `cannot start ${JSON.stringify(job.runKey)}: ${what}`, hint);
}

/** Which processes hold the key of a job that has ended, and how to end them. */
export function describeHolder(job: Job): { readonly what: string; readonly hint: string } {
  const { host, member } = job.elsewhere!;
  return {
    what: `job ${job.jobId} of member ${JSON.stringify(member)} has ended (${job.status}), but processes of it still live on host ${host}`,
    hint: `end them there: ${commandOn(job.elsewhere!, ["cancel", "--job-id", job.jobId])}`,
  };
}

/** Says where the output of a job is that `run` waits for. */
export function describeOutput(job: Job): string {
  const { host, member } = job.elsewhere!;
  return `job ${job.jobId} runs on host ${host} (member ${JSON.stringify(member)}); its output is there: ${commandOn(job.elsewhere!, ["logs", "--follow", "--job-id", job.jobId])}`;
}

/** Our own jobs, and those of other members, newest first. Of our own, our record is newer than the registry's. */
export function merge(fleet: Fleet, here: readonly Job[], there: readonly Job[]): readonly Job[] {
  const foreign = there.filter((job) => !fleet.isOwn(job));
  const tokens = new Map(here.map(({ jobId, fencingToken }) => [jobId, fencingToken ?? 0]));
  // An attempt that the registry has not accepted has no token; it follows directly after the one before.
  const place = ({ fencingToken, retry }: Job) =>
    fencingToken ?? (tokens.get(retry?.ofJobId ?? "") ?? 0) + 0.5;
  return [...here, ...foreign].sort((a, b) => place(b) - place(a));
}

/** The end of the output that the member of a job has published. Throws `conflict` if it has published none. */
export async function resultElsewhere(context: Context, job: Job, maxBytes: number): Promise<JobResult> {
  const output = await (await fleetOf(context)).output(job.jobId);
  if (output === undefined) throw onlyThere(job, ["result", "--job-id", job.jobId]);
  const end = (text: string, bytes: number): LogEnd => {
    const content = Uint8Array.fromBase64(text);
    const shown = maxBytes === 0 ? content.subarray(0, 0) : content.subarray(-maxBytes);
    return { chunks: [shown], truncated: shown.length < bytes };
  };
  return {
    job,
    stdout: end(output.stdout, output.stdoutBytes),
    stderr: end(output.stderr, output.stderrBytes),
  };
}
