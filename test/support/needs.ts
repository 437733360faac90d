/** Skips tests that need something the machine does not have, and says what is missing. */
import { test } from "bun:test";
import { existsSync, readlinkSync } from "node:fs";
import { chromiumPath } from "./browser.ts";
import { postgresPrograms } from "./postgres.ts";

/** Debian and others have sshd where no ordinary user's PATH leads. */
export function sshdPath(): string | null {
  return Bun.which("sshd", { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/usr/local/sbin` });
}

export const BASH_COMPLETION = "/usr/share/bash-completion/bash_completion";

const CHECKS = {
  strace: () => Bun.which("strace") !== null,
  /** The machine's initial PID namespace, from which all others are visible. */
  machine: () => readlinkSync("/proc/self/ns/pid") === "pid:[4026531836]",
  /** script(1), which gives a command a terminal. */
  script: () => Bun.which("script") !== null,
  tmux: () => Bun.which("tmux") !== null,
  sqlite3: () => Bun.which("sqlite3") !== null,
  sshd: () => Bun.which("ssh") !== null && sshdPath() !== null,
  /** Debian's cron. */
  cron: () => existsSync("/usr/sbin/cron"),
  /** Loop devices, and an ext4 file system on one that can be frozen. */
  fsfreeze: () =>
    process.getuid?.() === 0 &&
    Bun.spawnSync(["losetup", "--find"]).exitCode === 0 &&
    ["/sbin/mkfs.ext4", "/sbin/fsfreeze"].every(existsSync),
  chromium: () => chromiumPath() !== null,
  perl: () => Bun.which("perl") !== null,
  /** Also the right to mount a rule for an ordinary user in a mount namespace. */
  sudo: () =>
    process.getuid?.() === 0 &&
    Bun.which("sudo") !== null &&
    Bun.spawnSync(["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/etc/sudoers.d"]).exitCode === 0,
  /** The SSH library that Airflow uses, for Debian's python3. */
  paramiko: () => existsSync("/usr/lib/python3/dist-packages/paramiko") && existsSync("/usr/bin/python3"),
  node: () => Bun.which("node") !== null,
  ansible: () => existsSync("/usr/bin/ansible-playbook"),
  msmtp: () => existsSync("/usr/bin/msmtp"),
  "notify-send": () => Bun.which("notify-send") !== null,
  "dbus-daemon": () => Bun.which("dbus-daemon") !== null,
  /** A D-Bus library for Debian's python3. */
  "python3-jeepney": () => existsSync("/usr/lib/python3/dist-packages/jeepney"),
  "python3-jsonschema": () => existsSync("/usr/lib/python3/dist-packages/jsonschema"),
  bash: () => Bun.which("bash") !== null,
  /** Completes a command line that is an argument of another command. */
  "bash-completion": () => existsSync(BASH_COMPLETION),
  zsh: () => Bun.which("zsh") !== null,
  fish: () => Bun.which("fish") !== null,
  man: () => Bun.which("man") !== null && Bun.which("groff") !== null,
  mandoc: () => Bun.which("mandoc") !== null,
  promtool: () => Bun.which("promtool") !== null,
  python3: () => Bun.which("python3") !== null,
  /** The first version whose datetime.fromisoformat reads all forms. */
  "python3.11": () =>
    Bun.which("python3") !== null &&
    Bun.spawnSync(["python3", "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]).exitCode === 0,
  curl: () => Bun.which("curl") !== null,
  openssl: () => Bun.which("openssl") !== null,
  ar: () => Bun.which("ar") !== null,
  dpkg: () => Bun.which("dpkg") !== null,
  root: () => process.getuid?.() === 0,
  /** Debian's PostgreSQL. Root runs it as the user postgres, which that package makes. */
  postgresql: () =>
    postgresPrograms() !== undefined &&
    (process.getuid?.() !== 0 ||
      Bun.spawnSync(["setpriv", "--reuid=postgres", "true"], { stderr: "ignore" }).exitCode === 0),
  pgbouncer: () => existsSync("/usr/sbin/pgbouncer") || Bun.which("pgbouncer") !== null,
  faketime: () => Bun.which("faketime") !== null,
  /** Tells machines apart; a container may have none. */
  "machine-id": () => existsSync("/etc/machine-id"),
  /** Root: hosts in network, host name and mount namespaces, with veth pairs as cables. */
  netns: () =>
    process.getuid?.() === 0 &&
    Bun.which("ip") !== null &&
    Bun.spawnSync(
      [
        "unshare",
        "--net",
        "--uts",
        "--mount",
        "ip",
        "link",
        "add",
        "end0",
        "type",
        "veth",
        "peer",
        "name",
        "end1",
      ],
      { stdio: ["ignore", "ignore", "ignore"] },
    ).exitCode === 0,
  /** What booting systemd in namespaces takes: root, overlayfs, cgroup v2, and systemd with D-Bus. */
  systemd: () =>
    process.getuid?.() === 0 &&
    ["/lib/systemd/systemd", "/lib/systemd/system/dbus.socket", "/usr/bin/dbus-daemon"].every(existsSync) &&
    Bun.spawnSync(["bash", `${import.meta.dir}/../fixtures/systemd/machine.sh`, "check"], {
      stdio: ["ignore", "ignore", "ignore"],
    }).exitCode === 0,
  /** Makes a login a session of logind. */
  pam_systemd: () => new Bun.Glob("lib/*/security/pam_systemd.so").scanSync("/usr").next().done === false,
  /** A small init, like that of `docker run --init`. */
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

/** Defines a test that is skipped if one of the needs is missing. */
export function testWith(
  needs: readonly Need[],
  name: string,
  body: () => Promise<void>,
  timeoutMs?: number,
): void {
  const missing = needs.filter((need) => !has(need));
  if (missing.length > 0)
    console.error(`skipped, because the machine lacks ${missing.join(" and ")}: ${name}`);
  test.skipIf(missing.length > 0)(name, () => body().catch(printBoth), timeoutMs);
}

/**
 * Prints both errors if a failed test also left processes behind: Bun shows only the second one, without its message.
 */
function printBoth(error: unknown): never {
  if (error instanceof SuppressedError) console.error(error.suppressed, error.error);
  throw error;
}
