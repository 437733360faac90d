/** Asks systemd about a unit, through systemctl(1). */
import { libc } from "../linux/ffi/libc.ts";

/** Which of the two managers a unit belongs to. */
export type ManagerOption = "--system" | "--user";

/** Matches the control group of a unit of a user's own service manager. */
export const SERVICE_OF_USER = /\/user@(\d+)\.service(?=\/)/;

export function runtimeDirectory(uid: number): string {
  return `/run/user/${uid}`;
}

/**
 * The environment for systemd's programs: nothing of the caller's, which may point to another bus, or another program of that
 * name.
 */
export function managerEnvironment(): Readonly<Record<string, string>> {
  const own = { PATH: "/usr/bin:/bin:/run/current-system/sw/bin", LC_ALL: "C" };
  const uid = libc.geteuid();
  if (uid === 0) return own;
  const runtime = runtimeDirectory(uid);
  return { ...own, XDG_RUNTIME_DIR: runtime, DBUS_SESSION_BUS_ADDRESS: `unix:path=${runtime}/bus` };
}

export function showCommand(manager: ManagerOption, unit: string, properties: string): readonly string[] {
  return ["systemctl", manager, "show", `--property=${properties}`, "--", unit];
}

/**
 * Returns properties (names, separated by commas) of a unit; undefined if systemctl is missing, fails, or takes too long (ms).
 */
export function showUnit(
  manager: ManagerOption,
  unit: string,
  properties: string,
  timeoutMs: number,
): ReadonlyMap<string, string> | undefined {
  try {
    const { exitCode, stdout } = Bun.spawnSync([...showCommand(manager, unit, properties)], {
      env: managerEnvironment(),
      cwd: "/",
      stdin: "ignore",
      stderr: "ignore",
      timeout: timeoutMs,
      killSignal: "SIGKILL",
    });
    return exitCode === 0 ? toProperties(stdout.toString()) : undefined;
  } catch {
    // There is no systemctl.
    return undefined;
  }
}

/** Parses lines of NAME=VALUE. */
export function toProperties(text: string): ReadonlyMap<string, string> {
  const lines = text.trim().split("\n");
  return new Map(lines.map((line) => [line.replace(/=.*/, ""), line.replace(/^[^=]*=/, "")]));
}
