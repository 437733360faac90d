import { OrchesjobError } from "../../job/errors.ts";
import { passedOnExitCode, SIGNAL_BASE } from "../../job/exit-status.ts";
import { isActive } from "../../job/status.ts";
import { attachToJob, awaitNews, LEAST_BYTES, type News } from "../../jobs/attach.ts";
import { findJob } from "../../jobs/find.ts";
import { OrphanFinder, reportOrphans } from "../../jobs/orphan-finder.ts";
import { refuseOwnJob } from "../../jobs/self-call.ts";
import { ERRNO, SystemError } from "../../linux/ffi/call.ts";
import { isContainersCommand } from "../../linux/self.ts";
import { Interruption, SIGPIPE } from "../../linux/signals.ts";
import type { Context } from "../../state/context.ts";
import type { LogStream } from "../../state/paths.ts";
import type { AttachView } from "../answers/job.ts";
import { defineCommand, optional, withDefault } from "../command.ts";
import { keyOperand, selectorOptions, toSelector } from "../options/selectors.ts";
import { byteSize, durationOrZero, oneOf, wholeNumber } from "../options/values.ts";
import { explainEnd, leave } from "../output/remarks.ts";
import { jobView } from "../output/views.ts";

const DEFAULT_BYTES = 65_536;
/** They are in memory as a whole. */
const MOST_BYTES = 16_777_216;

/** The options of the bounded call alone. */
const bounded = {
  maxBytes: optional(
    "--max-bytes",
    "SIZE",
    "With --format json: at most so much of each stream (default: 64K, at most 16M)",
    maxBytes,
  ),
  wait: optional(
    "--wait",
    "DURATION",
    "With --format json: if nothing is new, wait so long for output or the end (default: 0)",
    durationOrZero("--wait"),
  ),
};

const cursor = (stream: LogStream) =>
  withDefault(
    `--${stream}-from`,
    "N",
    `Skip the first N bytes of ${stream} (default: 0)`,
    wholeNumber(`--${stream}-from`, 0),
    0,
  );

export const attach = defineCommand({
  name: "attach",
  summary: "Show both streams of a job as they come, and exit with its code; never starts one",
  ...keyOperand,
  options: {
    ...selectorOptions,
    stdoutFrom: cursor("stdout"),
    stderrFrom: cursor("stderr"),
    format: withDefault(
      "--format",
      "FORMAT",
      "raw: the streams themselves, until the job ends (default); json: one answer with the job, what is new, and where to go on",
      oneOf("--format", ["raw", "json"]),
      "raw",
    ),
    ...bounded,
  },
  examples: [
    "orchesjob attach nightly-backup",
    "orchesjob attach --job-id ID --stdout-from 4096 --stderr-from 0 --max-bytes 256K --wait 50s --format json",
  ],
  answer: async () => (await import("../answers/job.ts")).ATTACH,
  passesExitCode: ({ format }) => format === "raw",
  async run({ options, operands, context, output }) {
    const isBounded = options.format === "json";
    if (!isBounded) refuseBounded(options);
    const from = { stdout: options.stdoutFrom, stderr: options.stderrFrom };
    const interruption = new Interruption();
    // The first process of a container gets no signal without a handler. Elsewhere a signal just ends a bounded call.
    if (!isBounded || isContainersCommand()) interruption.listen();
    const found = await findJob(context, toSelector(options, operands));
    const { job } = found;
    if (job.elsewhere !== undefined)
      throw (await import("../../jobs/elsewhere.ts")).onlyThere(job, ["attach", "--job-id", job.jobId]);
    if (isBounded) {
      const request = { from, maxBytes: options.maxBytes ?? DEFAULT_BYTES, waitMs: options.wait ?? 0 };
      const news = await awaitNews(context, found, request, interruption);
      if (interruption.signal !== undefined && isActive(news.job.status))
        return leave(context, news.job, interruption.signal);
      output.json(newsView(context, news));
      return 0;
    }
    refuseOwnJob(job, "attach to");
    try {
      const descriptors = { stdout: output.descriptor, stderr: context.stderr };
      const ended = await attachToJob(context, found, from, descriptors, interruption);
      if (interruption.signal !== undefined && isActive(ended.status))
        return leave(context, ended, interruption.signal);
      const remark = explainEnd(ended);
      if (remark !== undefined) context.notify(remark);
      await reportOrphans(context, ended, new OrphanFinder(context).find(ended));
      return passedOnExitCode(ended);
    } catch (error) {
      // The reader has closed the pipe; the job goes on.
      if (error instanceof SystemError && error.errno === ERRNO.EPIPE) return SIGNAL_BASE + SIGPIPE;
      throw error;
    }
  },
});

function maxBytes(text: string): number {
  const bytes = byteSize("--max-bytes")(text);
  if (bytes >= LEAST_BYTES && bytes <= MOST_BYTES) return bytes;
  throw new OrchesjobError(
    "usage",
    `--max-bytes must be from ${LEAST_BYTES} to ${MOST_BYTES} (16M) bytes, not ${JSON.stringify(text)}`,
  );
}

function refuseBounded(options: {
  readonly maxBytes: number | undefined;
  readonly wait: number | undefined;
}) {
  const given = options.wait === undefined ? options.maxBytes && bounded.maxBytes.flag : bounded.wait.flag;
  if (given === undefined) return;
  throw new OrchesjobError(
    "usage",
    `${given} needs --format json`,
    "without it, attach shows the output until the job ends",
  );
}

function newsView(context: Context, { job, stdout, stderr }: News): AttachView {
  return {
    ...jobView(context.home, job, new OrphanFinder(context).find(job)),
    stdout: stdout.text,
    stdout_encoding: stdout.encoding,
    stdout_from: stdout.from,
    stdout_next: stdout.next,
    stdout_more: stdout.more,
    stderr: stderr.text,
    stderr_encoding: stderr.encoding,
    stderr_from: stderr.from,
    stderr_next: stderr.next,
    stderr_more: stderr.more,
    complete: !isActive(job.status) && !stdout.more && !stderr.more,
  };
}
