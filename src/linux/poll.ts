/** Waits for descriptors: poll(2). */
import { libc } from "./ffi/libc.ts";

export const POLLIN = 1;
export const POLLOUT = 4;

/** The other side is gone, or the descriptor is unusable: poll(2) returns at once then, again and again. */
export const POLL_ENDED = 0x8 | 0x10 | 0x20;

/**
 * Blocks until one of the descriptors (-1: none) is ready or has ended, the time (ms; -1: no limit) is over, or a signal
 * comes. Returns the events of each.
 */
export function pollFor(
  watched: readonly (readonly [fd: number, events: number])[],
  timeoutMs: number,
): readonly number[] {
  const requests = new Int32Array(watched.flat());
  libc.poll(requests, watched.length, Math.ceil(timeoutMs));
  // struct pollfd: int fd; short events; short revents.
  const found: number[] = [];
  for (let index = 0; index < watched.length; index++) found.push(requests[2 * index + 1]! >> 16);
  return found;
}
