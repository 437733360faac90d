/** The last lines that a failed job has written to its stderr, for a report. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { SystemError } from "../linux/ffi/call.ts";
import type { Context } from "../state/context.ts";
import { logSize, readLog } from "./logs.ts";

const TAIL_BYTES = 8_192;
const MOST_LINES = 10;
const MOST_CHARACTERS = 300;

/** Without colours, but otherwise as they were written; undefined if they are not here, or were deleted. */
export async function lastErrorLines(context: Context, job: Job): Promise<readonly string[] | undefined> {
  try {
    const { bytes, isWhole } =
      job.elsewhere === undefined ? readHere(context, job) : await readThere(context, job);
    const lines = Bun.stripANSI(new TextDecoder().decode(bytes))
      .split("\n")
      // A progress bar writes over its line.
      .map((line) => line.split("\r").findLast((text) => text.trim() !== "") ?? "");
    const begun = isWhole ? lines : lines.slice(1);
    return begun
      .filter((line) => line.trim() !== "")
      .slice(-MOST_LINES)
      .map(shorten);
  } catch (error) {
    // The job is known all the same.
    if (error instanceof OrchesjobError || error instanceof SystemError) return undefined;
    throw error;
  }
}

function readHere(context: Context, job: Job): { readonly bytes: Uint8Array; readonly isWhole: boolean } {
  const from = Math.max(0, logSize(context, job, "stderr") - TAIL_BYTES);
  return { bytes: readLog(context, job, "stderr", from, TAIL_BYTES).bytes, isWhole: from === 0 };
}

async function readThere(context: Context, job: Job): Promise<ReturnType<typeof readHere>> {
  const output = await (await context.openFleet())?.output(job.jobId);
  if (output === undefined) throw new OrchesjobError("conflict", "its output is not published");
  const bytes = Uint8Array.fromBase64(output.stderr).subarray(-TAIL_BYTES);
  return { bytes, isWhole: bytes.length === output.stderrBytes };
}

function shorten(line: string): string {
  const characters = [...line.slice(0, 2 * MOST_CHARACTERS)];
  return characters.length <= MOST_CHARACTERS
    ? line
    : `${characters.slice(0, MOST_CHARACTERS - 1).join("")}…`;
}
