/** The machine code of this program in our memory: see madvise(2) and /proc/PID/maps in proc(5). */
import { libc } from "./ffi/libc.ts";
import { readLink, readTextIfAny } from "./file.ts";

const SYS_MADVISE = process.arch === "arm64" ? 233n : 28n;
const MADV_DONTNEED = 4n;

/**
 * Forgets the machine code that only the start has needed, in an agent 22 of 31 MB. The kernel maps a page again from the file
 * when it is executed. Only pages that nobody can have written are forgotten.
 */
export function forgetProgramText(): void {
  const program = readLink("/proc/self/exe");
  for (const line of (readTextIfAny("/proc/self/maps") ?? "").split("\n")) {
    const found = /^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ \S+ +(.*)$/.exec(line);
    if (found?.[3] !== program) continue;
    const begin = BigInt(`0x${found[1]}`);
    libc.syscall(SYS_MADVISE, begin, BigInt(`0x${found[2]}`) - begin, MADV_DONTNEED, 0n);
  }
}
