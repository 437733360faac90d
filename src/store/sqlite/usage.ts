/** The columns of what a command has used. */
import type { Usage } from "../../job/usage.ts";

/** Sets them, from parameters of the same names. */
export const SET_USAGE =
  "cpu_seconds = $cpu_seconds, max_rss_bytes = $max_rss_bytes, io_read_bytes = $io_read_bytes, io_write_bytes = $io_write_bytes";

export function toUsageColumns(usage: Usage | null) {
  return {
    cpu_seconds: usage?.cpuSeconds ?? null,
    max_rss_bytes: usage?.maxRssBytes ?? null,
    io_read_bytes: usage?.ioReadBytes ?? null,
    io_write_bytes: usage?.ioWriteBytes ?? null,
  };
}

export function toUsage(row: ReturnType<typeof toUsageColumns>): Usage | null {
  const { cpu_seconds: cpuSeconds, max_rss_bytes: maxRssBytes } = row;
  const { io_read_bytes: ioReadBytes, io_write_bytes: ioWriteBytes } = row;
  // The kernel always counts the time.
  return cpuSeconds === null ? null : { cpuSeconds, maxRssBytes, ioReadBytes, ioWriteBytes };
}
