/** Finds the unit whose end would end the worker, too: a service, a login session (logind.conf(5)) or a user manager. */
import { unitOf } from "../linux/control-group.ts";
import { libc } from "../linux/ffi/libc.ts";
import { readTextIfAny } from "../linux/file.ts";
import { statPath } from "../linux/stat.ts";
import { userName } from "../linux/ffi/users.ts";
import { SERVICE_OF_USER } from "./systemctl.ts";

const SESSION = /\/user-(\d+)\.slice\/(session-[^/]+\.scope)(?=\/|$)/;

/**
 * Returns the unit that will end the worker if it stays in this group: our service, the login session if logind kills the
 * processes of its user, or a user's service manager. Undefined: none will. `supervised`: the caller waits for the job's end,
 * so its service is meant to end the job as well.
 */
export function findWhatKills(group: string, supervised: boolean): string | undefined {
  if (!isSystemd()) return undefined;
  const unit = unitOf(group);
  if (unit?.endsWith(".service")) return supervised ? undefined : unit;
  const session = SESSION.exec(group);
  if (session !== null) return killsUserProcesses(Number(session[1])) ? session[2] : undefined;
  const user = SERVICE_OF_USER.exec(group)?.[1];
  // A scope of a user's service manager lives as long as the manager; see findEnd.
  return user !== undefined && isRoot() && !supervised ? `user@${user}.service` : undefined;
}

/** Explains to the user that the job ends with the user's service manager; undefined if it does not. */
export function findEnd(group: string): string | undefined {
  const uid = Number(SERVICE_OF_USER.exec(group)?.[1]);
  if (!isSystemd() || Number.isNaN(uid) || isRoot()) return undefined;
  const name = nameOf(uid);
  if (statPath(`/var/lib/systemd/linger/${name}`) !== undefined) return undefined;
  return `the job ends with the last login session of ${name}, because lingering is off; to let it go on: loginctl enable-linger ${name}`;
}

export function nameOf(uid: number): string {
  return userName(uid) ?? String(uid);
}

export function isRoot(): boolean {
  return libc.geteuid() === 0;
}

/** Whether systemd is the first process of our PID namespace, so that its pids are ours, too. */
export function isSystemd(): boolean {
  // If /proc hides that process (hidepid=), systemd's directory must do: sd_booted(3).
  const first = readTextIfAny("/proc/1/comm");
  return first === undefined ? isInReach() : first === "systemd\n";
}

/** Whether logind kills the processes of this user at the end of a session: logind.conf(5). */
function killsUserProcesses(uid: number): boolean {
  const settings = readLogindSettings();
  if (!/^(1|y|yes|t|true|on)$/i.test(settings.get("KillUserProcesses") ?? "")) return false;
  const names = (setting: string, otherwise: string) =>
    (settings.get(setting) ?? otherwise).split(/\s+/).filter((word) => word !== "");
  const name = nameOf(uid);
  const only = names("KillOnlyUsers", "");
  return !names("KillExcludeUsers", "root").includes(name) && (only.length === 0 || only.includes(name));
}

function readLogindSettings(): ReadonlyMap<string, string> {
  const { readdirSync } = process.getBuiltinModule("node:fs");
  const settings = new Map<string, string>();
  const main = CONFIGURATION.map((place) => readTextIfAny(`${place}/systemd/logind.conf`));
  // The file as shipped has the built-in settings as comments.
  const text = main.find((each) => each !== undefined) ?? "";
  addSettings(settings, text.replace(/^[#;](?=\w+=)/gm, ""));
  addSettings(settings, text);
  const dropIns = new Map<string, string>();
  for (const place of CONFIGURATION.toReversed()) {
    try {
      const folder = `${place}/systemd/logind.conf.d`;
      for (const name of readdirSync(folder))
        if (name.endsWith(".conf")) dropIns.set(name, `${folder}/${name}`);
    } catch {
      // There is none.
    }
  }
  for (const [, path] of [...dropIns].sort(([a], [b]) => (a < b ? -1 : 1)))
    addSettings(settings, readTextIfAny(path) ?? "");
  return settings;
}

function addSettings(settings: Map<string, string>, text: string): void {
  for (const [, name, value] of text.matchAll(/^[ \t]*(\w+)[ \t]*=[ \t]*(.*?)[ \t]*$/gm))
    settings.set(name!, value!);
}

/** Whether systemd's files are visible: they are not in a service with a root directory of its own. */
export function isInReach(): boolean {
  return statPath("/run/systemd/system") !== undefined;
}

const CONFIGURATION = ["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"];

/**
 * Returns the mount units that a directory may be on. systemd stops a scope that is ordered after them before it unmounts
 * them: at a shutdown the result can still be written. The order alone mounts nothing. Names that would have to be escaped are
 * left out.
 */
export function mountsOf(directory: string): readonly string[] {
  const parts = directory.split("/").slice(1);
  const plain = parts.findIndex((part) => !/^\w[\w.]*$/.test(part));
  const usable = plain < 0 ? parts : parts.slice(0, plain);
  return usable.map((_, index) => `${usable.slice(0, index + 1).join("-")}.mount`);
}
