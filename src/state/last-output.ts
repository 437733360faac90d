/** What is known of a running job's output, without reading all of it: its last line, and how long ago it came. */
import type { Job } from "../job/job.ts";
import { replaceControlCharacters } from "../job/control-characters.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { closeFile, openFile, readInto, seek } from "../linux/file.ts";
import { type FileStat, statFd } from "../linux/stat.ts";
import { type Home, LOG_STREAMS, logFiles, TAIL_HEADER_BYTES, type TailFiles, tailFiles } from "./paths.ts";

export interface LastOutput {
  /** Time since the last write to a log; without any, since the command got them. */
  readonly quietMs: number;
  /** The last line that is not blank, for a terminal; null if there is none. */
  readonly lastLine: string | null;
}

/** How much of the end of a log is searched for a line, in bytes. */
const TAIL_BYTES = 4096;
const LINE_CHARACTERS = 200;

/** Undefined if the job does not run, is another member's, or has no logs yet. */
export function findLastOutput(
  home: Home,
  { jobId, status, elsewhere, limits }: Job,
): LastOutput | undefined {
  if (status !== "RUNNING" || elsewhere !== undefined) return undefined;
  const paths = logFiles(home, jobId);
  const logs = LOG_STREAMS.flatMap((stream) => openIfAny(paths[stream]).map((log) => ({ ...log, stream })));
  try {
    if (logs.length === 0) return undefined;
    // The stream that was written last comes first.
    logs.sort((a, b) => b.facts.modifiedAt - a.facts.modifiedAt);
    const quietMs = Math.max(0, Date.now() - logs[0]!.facts.modifiedAt);
    for (const { fd, facts, stream } of logs) {
      const tail = limits.maxLogBytes === undefined ? null : lastLineOfTail(tailFiles(home, jobId, stream));
      const line = tail ?? lastLine(fd, facts.size, 0);
      if (line !== null) return { quietMs, lastLine: line };
    }
    return { quietMs, lastLine: null };
  } finally {
    for (const { fd } of logs) closeFile(fd);
  }
}

interface Log {
  readonly fd: number;
  readonly facts: FileStat;
}

function openIfAny(path: string): readonly Log[] {
  try {
    const fd = openFile(path, "listen");
    const facts = statFd(fd);
    if (facts?.kind === "file") return [{ fd, facts }];
    closeFile(fd);
  } catch (error) {
    // Not created yet, or deleted, or not ours to read.
    if (!(error instanceof SystemError)) throw error;
  }
  return [];
}

/** The last line of output that is not in the log yet. */
function lastLineOfTail({ tail, before }: TailFiles): string | null {
  for (const path of [tail, before]) {
    const [file] = openIfAny(path);
    if (file === undefined) continue;
    try {
      const line = lastLine(file.fd, file.facts.size, TAIL_HEADER_BYTES);
      if (line !== null) return line;
    } finally {
      closeFile(file.fd);
    }
  }
  return null;
}

/** `header`: how many bytes at the beginning of the file are not output. */
function lastLine(fd: number, size: number, header: number): string | null {
  const begin = Math.max(header, size - TAIL_BYTES);
  seek(fd, begin);
  const buffer = new Uint8Array(TAIL_BYTES);
  const text = new TextDecoder().decode(buffer.subarray(0, readInto(fd, buffer)));
  // A progress bar writes over its line with carriage returns.
  const lines = Bun.stripANSI(text).split(/[\r\n]/);
  const index = lines.findLastIndex((line) => line.trim() !== "");
  if (index < 0) return null;
  const line = replaceControlCharacters(lines[index]!.replaceAll("\t", " "), "·").trim();
  const isWhole = index > 0 || begin === 0;
  // Not by code units: half of a pair is no character.
  const characters = [...line];
  if (isWhole && characters.length <= LINE_CHARACTERS) return line;
  return isWhole
    ? `${characters.slice(0, LINE_CHARACTERS - 1).join("")}…`
    : `…${characters.slice(1 - LINE_CHARACTERS).join("")}`;
}
