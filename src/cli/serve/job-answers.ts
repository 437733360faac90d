/** The answers of the API of `serve` about jobs and their logs. */
import { OrchesjobError } from "../../job/errors.ts";
import type { Job } from "../../job/job.ts";
import { onlyThere } from "../../jobs/elsewhere.ts";
import { OrphanFinder } from "../../jobs/orphan-finder.ts";
import { closeLog, openLog, readChunks, searchLog } from "../../serve/log-file.ts";
import { jsonReply, type Reply } from "../../serve/reply.ts";
import type { Viewer } from "../../serve/viewer.ts";
import type { LogStream } from "../../state/paths.ts";
import type { JobView } from "../answers/job.ts";
import type { SearchView } from "../answers/serve.ts";
import { viewsWithOutput } from "../output/views.ts";
import { allowOnly, flag, number, readFilter, single } from "./query.ts";

/** Bytes of a log in one answer, unless `max` says otherwise. */
const USUAL_BYTES = 1_048_576;
/** Bytes that one search looks through. */
const SEARCHED_BYTES = 67_108_864;
const LONGEST_WANTED = 256;

export async function viewOf(viewer: Viewer, job: Job): Promise<JobView> {
  const [view] = await viewsWithOutput(new OrphanFinder(viewer.context), [job]);
  return view!;
}

/** The jobs, and in the header Link where the older ones are. */
export async function list(viewer: Viewer, query: URLSearchParams): Promise<Reply> {
  const filter = await readFilter(query);
  const isFleet = flag(query, "fleet");
  const jobs = isFleet ? await viewer.listFleet(filter) : await viewer.list(filter);
  const views = await viewsWithOutput(new OrphanFinder(viewer.context), jobs);
  const oldest = jobs.at(-1);
  const before =
    isFleet || jobs.length < filter.limit || oldest === undefined
      ? undefined
      : await (await viewer.figures())?.positionOf(oldest.jobId);
  if (before === undefined) return jsonReply(views);
  const next = new URLSearchParams(query);
  next.set("before", String(before));
  return jsonReply(views, { Link: `</api/jobs?${next}>; rel="next"` });
}

export async function log(
  viewer: Viewer,
  jobId: string,
  stream: LogStream,
  query: URLSearchParams,
): Promise<Reply> {
  allowOnly(query, ["from", "max"]);
  const max = number(query, "max", { smallest: 0, otherwise: USUAL_BYTES });
  const job = await ownJob(viewer, jobId);
  const file = openLog(viewer.context, job, stream);
  try {
    const from = readOffset(single(query, "from"), file.size);
    const length = Math.max(0, Math.min(max, file.size - from));
    return {
      status: 200,
      headers: {
        "Content-Type": "application/octet-stream",
        "Cache-Control": "no-store",
        "X-Orchesjob-From": String(from),
        "X-Orchesjob-Next": String(from + length),
        "X-Orchesjob-Size": String(file.size),
      },
      body: { length, chunks: readChunks(file, from, length), close: () => closeLog(file) },
    };
  } catch (error) {
    closeLog(file);
    throw error;
  }
}

/** `-N`: the last N bytes. Throws `usage`. */
function readOffset(text: string | undefined, size: number): number {
  if (text === undefined) return 0;
  if (!/^-?\d{1,15}$/.test(text))
    throw new OrchesjobError(
      "usage",
      `from must be an offset in bytes, not ${JSON.stringify(text)}`,
      "a negative one counts from the end",
    );
  return text.startsWith("-") ? Math.max(0, size + Number(text)) : Number(text);
}

export async function search(
  viewer: Viewer,
  jobId: string,
  stream: LogStream,
  query: URLSearchParams,
): Promise<SearchView> {
  allowOnly(query, ["q", "from", "limit"]);
  const wanted = new TextEncoder().encode(single(query, "q") ?? "");
  if (wanted.length === 0 || wanted.length > LONGEST_WANTED)
    throw new OrchesjobError("usage", `q must be a text of 1 to ${LONGEST_WANTED} bytes`);
  const limit = number(query, "limit", { smallest: 1, largest: 1000, otherwise: 100 });
  const file = openLog(viewer.context, await ownJob(viewer, jobId), stream);
  try {
    const from = readOffset(single(query, "from"), file.size);
    const { hits, next } = await searchLog(file, { wanted, from, limit, maxBytes: SEARCHED_BYTES });
    const decoder = new TextDecoder();
    return {
      matches: hits.map(({ at, lineAt, line }) => ({ at, line_at: lineAt, line: decoder.decode(line) })),
      next: next ?? null,
      size: file.size,
    };
  } finally {
    closeLog(file);
  }
}

/** Throws `conflict` for a job of another member: its logs are on its host. */
async function ownJob(viewer: Viewer, jobId: string): Promise<Job> {
  const job = await viewer.job(jobId);
  if (job.elsewhere !== undefined) throw onlyThere(job, ["logs", "--job-id", jobId]);
  return job;
}
