/** Checks an executable: what it is, by its first bytes, and whether it runs here. A target must be what its name says. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Returns the platform that the file itself names: `linux-x64`, `linux-arm64-musl`, …. */
export function readPlatform(executable: Uint8Array): string {
  const view = new DataView(executable.buffer, executable.byteOffset, 4096);
  // ELF: magic; the machine at 18; the loader's path, which names the C library, in the first page.
  if (view.getUint32(0, false) !== 0x7f454c46) return "unknown";
  const machine = { 62: "x64", 183: "arm64" }[view.getUint16(18, true)] ?? "unknown";
  const page = new TextDecoder("latin1").decode(executable.subarray(0, 4096));
  return `linux-${machine}${page.includes("/ld-musl-") ? "-musl" : ""}`;
}

/** Runs a job with it. Returns false if this machine cannot execute such a file; throws if the job fails. */
export function tryJob(executable: string): boolean {
  const home = mkdtempSync(join(tmpdir(), "orchesjob-try-"));
  const env = { PATH: "/usr/bin:/bin", ORCHESJOB_HOME: join(home, "state") };
  try {
    if (!starts([executable, "--version"], env)) return false;
    const words = ["run", "--run-key", "release", "--", "echo", "done"];
    const job = Bun.spawnSync([executable, ...words], { env });
    if (job.exitCode === 0 && job.stdout.toString() === "done\n") return true;
    throw new Error(
      `${executable} ${words.join(" ")}: exit ${job.exitCode ?? job.signalCode}: ${job.stderr.toString().trim()}`,
    );
  } finally {
    rmSync(home, { recursive: true });
  }
}

function starts(command: string[], env: Record<string, string>): boolean {
  try {
    return Bun.spawnSync(command, { env }).exitCode === 0;
  } catch {
    // Another machine's format (ENOEXEC), or no such loader here (ENOENT).
    return false;
  }
}
