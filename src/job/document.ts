/** A job as JSON, as members of a fleet pass it on through the registry. */
import { acceptedJob, type Job } from "./job.ts";
import { NO_LIMITS } from "./limits.ts";
import type { Elsewhere } from "./fleet.ts";

type Document = Readonly<Record<string, unknown>>;

/** Leaves out the token by which a host recognizes the job's processes: it is a secret of that host. */
export function toDocument(job: Job): Document {
  const { elsewhere: _, token: _token, labels, ...rest } = job;
  return { ...rest, labels: Object.fromEntries(labels) };
}

/** The job that a member has published. A newer version may have added fields, an older one may lack some. */
export function fromDocument(document: Document, elsewhere: Elsewhere): Job {
  const { labels, ...rest } = document;
  const blank = acceptedJob(
    {
      ...{ jobId: "", runKey: "", attemptNo: 1, command: [], cwd: "", env: [], labels: new Map() },
      ...{ timeoutMs: null, requestId: null, rerunOfJobId: null, rerunReason: null, scope: "auto" },
      ...{ properties: [], onExit: null, onFailure: null, limits: NO_LIMITS, output: "file", stdin: null },
      ...{ token: "", onPartition: "continue", retry: null },
      origin: { host: elsewhere.host, bootId: "", pidNamespace: "" },
      worker: { pid: 0, startTicks: 0 },
    },
    0,
  );
  return {
    ...blank,
    worker: null,
    ...rest,
    token: null,
    labels: new Map(Object.entries((labels ?? {}) as Record<string, string>)),
    elsewhere,
  };
}
