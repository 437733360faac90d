import { EXIT_CODES } from "../../job/errors.ts";
import { OWN_FAILURE, passedOnExitCode, SIGNAL_BASE, TIMED_OUT } from "../../job/exit-status.ts";
import type { Job } from "../../job/job.ts";
import { describeAfterLeaving } from "../../jobs/after-leaving.ts";
import { eachOnce, findSeveral, noneFound } from "../../jobs/find-several.ts";
import { hasOrphans, OrphanFinder, type Orphans, reportOrphans } from "../../jobs/orphan-finder.ts";
import { refuseOwnJob } from "../../jobs/self-call.ts";
import { isFinished } from "../../jobs/start.ts";
import { waitForJobs } from "../../jobs/wait-several.ts";
import { Interruption } from "../../linux/signals.ts";
import type { Context } from "../../state/context.ts";
import { defineCommand, flag, optional } from "../command.ts";
import { keyOperands } from "../options/selectors.ts";
import { isOne, severalOptions, toSeveralJobs } from "../options/several-jobs.ts";
import { duration } from "../options/values.ts";
import { dieOrReturn, leave } from "../output/remarks.ts";
import { jobView } from "../output/views.ts";

export const wait = defineCommand({
  name: "wait",
  summary: "Wait until a job, or several, have ended, and print what status prints",
  ...keyOperands,
  options: {
    ...severalOptions,
    any: flag("--any", "Of several jobs, wait only until the first has ended"),
    timeout: optional(
      "--timeout",
      "DURATION",
      "Give up after this time (90, 30m, 2h, 1h30m, 1d) and exit 1; the job goes on",
      duration("--timeout"),
    ),
    orphans: flag(
      "--orphans",
      "Also wait for the processes of a job that was lost, cancelled or timed out: then its run key is free",
    ),
    exitStatus: flag(
      "--exit-status",
      "Exit with the code of the job (of several: 0 if all succeeded, else that of the first that did not, in the order of the answer); 124: timed out, 125: lost, or orchesjob failed; 126, 127 and 128+N as in a shell",
    ),
  },
  examples: [
    "orchesjob wait nightly-backup",
    "orchesjob wait --job-id ID --timeout 30m --exit-status",
    "orchesjob wait extract-a extract-b extract-c --exit-status",
    "orchesjob wait --label batch=n1 --any",
    "orchesjob wait nightly-backup --orphans",
  ],
  passesExitCode: (options) => options.exitStatus,
  answer: async () => (await import("../answers/job.ts")).WAIT,
  async run({ options, operands, context, output }) {
    const interruption = new Interruption();
    interruption.listen();
    const selected = toSeveralJobs(options, operands);
    const { store, jobs } = await findSeveral(context, selected);
    if (store === undefined || jobs.length === 0) throw noneFound(context, selected.filter!);
    for (const job of jobs) refuseOwnJob(job, "wait for");
    const endAt = performance.now() + (options.timeout ?? Number.POSITIVE_INFINITY);
    const restMs = () => endAt - performance.now();
    const until = options.any ? "any" : "all";
    let seen = eachOnce(await waitForJobs(context, store, jobs, until, restMs(), interruption));
    if (options.orphans) {
      const { waitForOrphans } = await import("../../jobs/orphans.ts");
      const freed: Job[] = [];
      for (const job of seen)
        freed.push(isFinished(job) ? await waitForOrphans(context, store, job, restMs(), interruption) : job);
      seen = freed;
    }
    const ended = seen.filter(isFinished);
    const isOver = options.any ? ended.length > 0 : ended.length === seen.length;
    const { signal } = interruption;
    if (signal !== undefined && !isOver) {
      if (isOne(selected)) return leave(context, seen[0]!, signal);
      context.notify(`left ${seen.length} jobs, of which ${ended.length} have ended; the others go on`);
      return dieOrReturn(signal);
    }
    const finder = new OrphanFinder(context);
    const found = seen.map((job) => ({ job, orphans: finder.find(job) }));
    const views = found.map(({ job, orphans }) => jobView(context.home, job, orphans));
    output.json(isOne(selected) ? views[0] : views);
    for (const { job, orphans } of found) await reportOrphans(context, job, orphans);
    if (!isOver) context.notify(describeActive(context, seen, isOne(selected)));
    const isHeld =
      options.orphans && found.some(({ job, orphans }) => isFinished(job) && holdsKey(job, orphans));
    if (isOver && !isHeld) return options.exitStatus ? firstFailure(ended) : 0;
    if (signal !== undefined) return SIGNAL_BASE + signal;
    return options.exitStatus ? TIMED_OUT : EXIT_CODES.general;
  },
});

function holdsKey({ elsewhere }: Job, orphans: Orphans): boolean {
  return hasOrphans(orphans) || elsewhere?.holdsKey === true;
}

/** How many run keys a message names. */
const SHOWN = 5;

/** Which jobs have not ended, and what becomes of them. */
function describeActive(context: Context, seen: readonly Job[], isSingle: boolean): string {
  const active = seen.filter((job) => !isFinished(job));
  const [first] = active;
  if (isSingle)
    return `job ${first!.jobId} is still ${first!.status}; it ${describeAfterLeaving(context, first!)}`;
  const keys = active.map(({ runKey }) => JSON.stringify(runKey));
  const shown = keys.length > SHOWN ? [...keys.slice(0, SHOWN), "…"] : keys;
  return `${active.length} of ${seen.length} jobs have not ended: ${shown.join(", ")}; they go on`;
}

/** The exit code of the first job that did not succeed; 0: all have. */
function firstFailure(ended: readonly Job[]): number {
  const failed = ended.find(({ status }) => status !== "SUCCEEDED");
  // A job that did not succeed never counts as one that did.
  return failed === undefined ? 0 : passedOnExitCode(failed) || OWN_FAILURE;
}
