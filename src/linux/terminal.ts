/** A terminal as a device: its settings (termios), its size, and writing to it without waiting. See ioctl_tty(2). */
import { ERRNO, lastErrno, SystemError } from "./ffi/call.ts";
import { libc } from "./ffi/libc.ts";
import { openFile, readLink } from "./file.ts";
import { pollFor, POLLOUT } from "./poll.ts";

const TCGETS = 0x5401n;
const TCSETS = 0x5402n;
const TIOCGWINSZ = 0x5413n;

/** struct termios of the kernel, the same on both architectures: four words of flags, the line discipline, 19 characters. */
const SETTINGS_BYTES = 36;
const ROOM_BYTES = 64;
const CHARACTERS = 17;
const VTIME = CHARACTERS + 5;
const VMIN = CHARACTERS + 6;

const BRKINT_ISTRIP_INLCR_IGNCR_ICRNL_IXON = 0o2 | 0o40 | 0o100 | 0o200 | 0o400 | 0o2000;
const OPOST = 0o1;
const ISIG_ICANON_ECHO_ECHONL_IEXTEN = 0o1 | 0o2 | 0o10 | 0o100 | 0o100000;

/** The settings of a terminal, as the kernel has them. */
export type TerminalSettings = Uint8Array;

/** Undefined if the descriptor is no terminal, or its other side is gone. */
export function readSettings(fd: number): TerminalSettings | undefined {
  const room = new Uint8Array(ROOM_BYTES);
  return libc.ioctl(fd, TCGETS, room) === 0 ? room.slice(0, SETTINGS_BYTES) : undefined;
}

/** False if the terminal is gone. Stops a process in the background (SIGTTOU). */
export function applySettings(fd: number, settings: TerminalSettings): boolean {
  const room = new Uint8Array(ROOM_BYTES);
  room.set(settings);
  return libc.ioctl(fd, TCSETS, room) === 0;
}

/** The same terminal with each key reported at once, none shown, none turned into a signal, and output passed on unchanged. */
export function rawSettings(settings: TerminalSettings): TerminalSettings {
  const raw = settings.slice();
  const flags = new Uint32Array(raw.buffer, 0, 4);
  flags[0]! &= ~BRKINT_ISTRIP_INLCR_IGNCR_ICRNL_IXON;
  flags[1]! &= ~OPOST;
  flags[3]! &= ~ISIG_ICANON_ECHO_ECHONL_IEXTEN;
  raw[VMIN] = 1;
  raw[VTIME] = 0;
  return raw;
}

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** A terminal that does not know its size, such as a serial line, counts as 80 × 24. */
export function terminalSize(fd: number): TerminalSize {
  const size = new Uint16Array(4);
  libc.ioctl(fd, TIOCGWINSZ, size);
  return { columns: size[1] || 80, rows: size[0] || 24 };
}

/**
 * Opens a terminal again, for writing that never waits: the setting belongs to the open file, which the shell shares with us.
 * Returns the same descriptor if the device cannot be opened (after `su`, for example).
 */
export function openAgain(fd: number): number {
  try {
    return openFile(readLink(`/proc/self/fd/${fd}`), "wake");
  } catch (error) {
    if (error instanceof SystemError) return fd;
    throw error;
  }
}

/** Writes as much as there is room for; returns the number of bytes. Throws SystemError if the terminal is gone. */
export function writeWhatFits(fd: number, bytes: Uint8Array): number {
  if ((pollFor([[fd, POLLOUT]], 0)[0]! & POLLOUT) === 0 && bytes.length > 0) return checkGone(fd);
  const written = Number(libc.write(fd, bytes, bytes.length));
  if (written >= 0) return written;
  const errno = lastErrno();
  if (errno === ERRNO.EAGAIN || errno === ERRNO.EINTR) return 0;
  throw new SystemError("cannot write to the terminal", errno);
}

function checkGone(fd: number): 0 {
  if (readSettings(fd) === undefined) throw new SystemError("cannot write to the terminal", lastErrno());
  return 0;
}
