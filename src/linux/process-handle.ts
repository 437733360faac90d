/** A process that is no child of ours, by its pidfd: when it has ended, and how, as far as the kernel tells. */
import type { ProcessIdentity } from "../job/job.ts";
import { decodeStatus, type ExitStatus, readZombie } from "./children.ts";
import { libc } from "./ffi/libc.ts";
import { closeFile } from "./file.ts";
import { openMeant } from "./pidfd.ts";
import { pollFor, POLLIN } from "./poll.ts";
import { readProcess } from "./self.ts";

/** _IOWR(0xFF, 11, struct pidfd_info): linux/pidfd.h. */
const PIDFD_GET_INFO = 0xc040_ff0b;
const PIDFD_INFO_EXIT = 8;
/** Of struct pidfd_info: `mask` in words of 32 bits, low half first, and `exit_code`. */
const INFO_WORDS = 16;
const MASK_WORD = 0;
const EXIT_CODE_WORD = 15;

export class Handle {
  private constructor(
    readonly pid: number,
    readonly fd: number,
  ) {}

  /** Undefined if exactly this process is gone, or the kernel gives us no descriptor. It may be a zombie. */
  static of(identity: ProcessIdentity): Handle | undefined {
    const fd = openMeant(identity);
    return fd === undefined ? undefined : new Handle(identity.pid, fd);
  }

  hasEnded(): boolean {
    return (pollFor([[this.fd, POLLIN]], 0)[0]! & POLLIN) !== 0;
  }

  /** Whether nothing of it is left. */
  isReaped(): boolean {
    return this.hasEnded() && readProcess(this.pid)?.state !== "Z";
  }

  /**
   * How it ended. A kernel tells it of any process that was reaped since Linux 6.15; before it was reaped, of one that is ours.
   * Undefined if it lives, or nobody tells.
   */
  readEnd(): ExitStatus | undefined {
    if (!this.hasEnded()) return undefined;
    // Again at the end: it may have been reaped in between. As long as the descriptor shows that it was not, the pid is its own.
    return this.#readInfo() ?? readZombie(this.pid) ?? this.#readInfo();
  }

  #readInfo(): ExitStatus | undefined {
    const info = new Uint32Array(INFO_WORDS);
    info[MASK_WORD] = PIDFD_INFO_EXIT;
    if (libc.ioctl(this.fd, PIDFD_GET_INFO, info) !== 0) return undefined;
    if ((info[MASK_WORD]! & PIDFD_INFO_EXIT) === 0) return undefined;
    return decodeStatus(info[EXIT_CODE_WORD]!);
  }

  close(): void {
    closeFile(this.fd);
  }
}
