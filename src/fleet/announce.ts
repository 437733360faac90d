/** What a member says to the registry about one of its jobs. */
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { closeFile, openFile, readInto, seek } from "../linux/file.ts";
import { statFd } from "../linux/stat.ts";
import { logFiles } from "../state/paths.ts";
import type { PublishedOutput } from "../store/fleet.ts";
import type { Publication } from "../store/publications.ts";
import type { OwnMember } from "./own-member.ts";
import type { Announcement } from "./registry.ts";

/** How much of each stream is published, in bytes. */
const PUBLISHED_BYTES = 65_536;

export function announce(
  fleet: OwnMember,
  { job, change, requestIds, strict, successor }: Publication,
  facts: Pick<Announcement, "holdsKey" | "isUnstoppable">,
): Announcement {
  const output = isActive(job.status) || !fleet.membership.publishesOutput ? null : readOutput(fleet, job);
  return {
    ...{ job, change, requestIds, strict, ...facts, output },
    successor: successor && announceWaiting(fleet, successor),
  };
}

/** An attempt that was never launched. */
function announceWaiting(fleet: OwnMember, publication: Publication): Announcement {
  const holdsKey = isActive(publication.job.status);
  return announce(fleet, publication, { holdsKey, isUnstoppable: false });
}

function readOutput({ home }: OwnMember, { jobId }: Job): PublishedOutput | null {
  const files = logFiles(home, jobId);
  const [stdout, stderr] = [readEnd(files.stdout), readEnd(files.stderr)];
  if (stdout === undefined || stderr === undefined) return null;
  return { stdout: stdout.text, stderr: stderr.text, stdoutBytes: stdout.bytes, stderrBytes: stderr.bytes };
}

/** The end of a file in base64, and its length; undefined if it cannot be read. */
function readEnd(path: string): { readonly text: string; readonly bytes: number } | undefined {
  let fd: number;
  try {
    fd = openFile(path, "read");
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
  try {
    const bytes = statFd(fd)?.size ?? 0;
    const content = new Uint8Array(Math.min(bytes, PUBLISHED_BYTES));
    seek(fd, bytes - content.length);
    let length = 0;
    for (let count = 1; count > 0 && length < content.length; length += count)
      count = readInto(fd, content.subarray(length));
    return { text: content.subarray(0, length).toBase64(), bytes };
  } finally {
    closeFile(fd);
  }
}
