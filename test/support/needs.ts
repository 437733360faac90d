/** Tests that need something of the machine. Where it is missing they are skipped, counted, and the reason is said. */
import { test } from "bun:test";
import { existsSync, readlinkSync } from "node:fs";

/** Where Debian and others have it, which is in no ordinary user's PATH. */
export function sshdPath(): string | null {
  return Bun.which("sshd", { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/usr/local/sbin` });
}

export const BASH_COMPLETION = "/usr/share/bash-completion/bash_completion";

const CHECKS = {
  strace: () => Bun.which("strace") !== null,
  /** The PID namespace of the machine itself, which sees into all others. */
  machine: () => readlinkSync("/proc/self/ns/pid") === "pid:[4026531836]",
  /** script(1), which gives a command a terminal. */
  script: () => Bun.which("script") !== null,
  sqlite3: () => Bun.which("sqlite3") !== null,
  sshd: () => Bun.which("ssh") !== null && sshdPath() !== null,
  /** Debian's. */
  cron: () => existsSync("/usr/sbin/cron"),
  /** Loop devices, with a file system on them that can be frozen. */
  fsfreeze: () =>
    process.getuid?.() === 0 &&
    Bun.spawnSync(["losetup", "--find"]).exitCode === 0 &&
    ["/sbin/mkfs.ext4", "/sbin/fsfreeze"].every(existsSync),
  perl: () => Bun.which("perl") !== null,
  /** And the right to give an ordinary user a rule for it, in a mount namespace. */
  sudo: () =>
    process.getuid?.() === 0 &&
    Bun.which("sudo") !== null &&
    Bun.spawnSync(["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/etc/sudoers.d"]).exitCode === 0,
  /** The SSH library of Airflow, for Debian's python3. */
  paramiko: () => existsSync("/usr/lib/python3/dist-packages/paramiko") && existsSync("/usr/bin/python3"),
  bash: () => Bun.which("bash") !== null,
  /** Completes command lines in the middle of others. */
  "bash-completion": () => existsSync(BASH_COMPLETION),
  zsh: () => Bun.which("zsh") !== null,
  fish: () => Bun.which("fish") !== null,
  man: () => Bun.which("man") !== null && Bun.which("groff") !== null,
  mandoc: () => Bun.which("mandoc") !== null,
  promtool: () => Bun.which("promtool") !== null,
  python3: () => Bun.which("python3") !== null,
  /** Whose datetime.fromisoformat reads all forms. */
  "python3.11": () =>
    Bun.which("python3") !== null &&
    Bun.spawnSync(["python3", "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]).exitCode === 0,
  curl: () => Bun.which("curl") !== null,
  openssl: () => Bun.which("openssl") !== null,
  ar: () => Bun.which("ar") !== null,
  dpkg: () => Bun.which("dpkg") !== null,
  root: () => process.getuid?.() === 0,
  /** A systemd that can be booted in namespaces: root, overlayfs, cgroup v2, and systemd with D-Bus. */
  systemd: () =>
    process.getuid?.() === 0 &&
    ["/lib/systemd/systemd", "/lib/systemd/system/dbus.socket", "/usr/bin/dbus-daemon"].every(existsSync) &&
    Bun.spawnSync(["bash", `${import.meta.dir}/../fixtures/systemd/machine.sh`, "check"], {
      stdio: ["ignore", "ignore", "ignore"],
    }).exitCode === 0,
  /** What makes a login a session of logind. */
  pam_systemd: () => new Bun.Glob("lib/*/security/pam_systemd.so").scanSync("/usr").next().done === false,
  /** A small init, as `docker run --init` has it. */
  tini: () => Bun.which("tini") !== null,
  unshare: () =>
    Bun.spawnSync(["unshare", "--pid", "--fork", "--mount-proc", "true"], {
      stdio: ["ignore", "ignore", "ignore"],
    }).exitCode === 0,
} as const;

export type Need = keyof typeof CHECKS;

const known = new Map<Need, boolean>();

export function has(need: Need): boolean {
  if (!known.has(need)) known.set(need, CHECKS[need]());
  return known.get(need)!;
}

/** A test that is skipped where one of the needs is not met. */
export function testWith(
  needs: readonly Need[],
  name: string,
  body: () => Promise<void>,
  timeoutMs?: number,
): void {
  const missing = needs.filter((need) => !has(need));
  if (missing.length > 0) console.error(`skipped, for want of ${missing.join(" and ")}: ${name}`);
  test.skipIf(missing.length > 0)(name, () => body().catch(tellBoth), timeoutMs);
}

/** A failed assertion that left processes behind: Bun shows the second failure alone, and without a word. */
function tellBoth(error: unknown): never {
  if (error instanceof SuppressedError) console.error(error.suppressed, error.error);
  throw error;
}
