/** Which unit's end would end the worker as well: services, login sessions (logind.conf(5)) and user managers. */
import { unitOf } from "../linux/control-group.ts";
import { libc } from "../linux/ffi/libc.ts";
import { readTextIfAny } from "../linux/file.ts";
import { statPath } from "../linux/stat.ts";
import { userName } from "../linux/ffi/users.ts";
import { SERVICE_OF_USER } from "./systemctl.ts";

const SESSION = /\/user-(\d+)\.slice\/(session-[^/]+\.scope)(?=\/|$)/;

/**
 * The unit that will one day take the worker with it, if it stays in this group: the service that we are in, the login
 * session where logind kills the processes of its user, or somebody's service manager. Undefined: nobody will.
 * `supervised`: the caller waits for the job's end, so a service that ends the job with the caller is what it is for.
 */
export function findWhatKills(group: string, supervised: boolean): string | undefined {
  if (!isSystemd()) return undefined;
  const unit = unitOf(group);
  if (unit?.endsWith(".service")) return supervised ? undefined : unit;
  const session = SESSION.exec(group);
  if (session !== null) return killsUserProcesses(Number(session[1])) ? session[2] : undefined;
  const user = SERVICE_OF_USER.exec(group)?.[1];
  // A scope of a user's service manager lives as long as that does; see findEnd.
  return user !== undefined && isRoot() && !supervised ? `user@${user}.service` : undefined;
}

/** Where the processes of a user's service manager end before the job may: why, for people; undefined where they do not. */
export function findEnd(group: string): string | undefined {
  const uid = Number(SERVICE_OF_USER.exec(group)?.[1]);
  if (!isSystemd() || Number.isNaN(uid) || isRoot()) return undefined;
  const name = nameOf(uid);
  if (statPath(`/var/lib/systemd/linger/${name}`) !== undefined) return undefined;
  return `the job ends with the last login session of ${name}, who does not linger; to let it go on: loginctl enable-linger ${name}`;
}

export function nameOf(uid: number): string {
  return userName(uid) ?? String(uid);
}

export function isRoot(): boolean {
  return libc.geteuid() === 0;
}

/** Whether systemd is the first process here, so that its process numbers are ours, too. */
export function isSystemd(): boolean {
  // Where /proc hides it (hidepid=), its directory must do: sd_booted(3).
  const first = readTextIfAny("/proc/1/comm");
  return first === undefined ? isInReach() : first === "systemd\n";
}

/** Whether logind ends what a user has left behind at the end of a session: logind.conf(5). */
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
  // The file as it was delivered has the settings that were built in as comments.
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

/** Whether we see its files: not in a service with a root directory of its own. */
export function isInReach(): boolean {
  return statPath("/run/systemd/system") !== undefined;
}

export const CONFIGURATION = ["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"];

/**
 * The units of the mounts that a directory may be on. A scope that is ordered after them is stopped before they are: at a
 * shutdown the result can still be written. Ordered only, so that none is mounted for it. Names that would have to be escaped
 * are left out.
 */
export function mountsOf(directory: string): readonly string[] {
  const parts = directory.split("/").slice(1);
  const plain = parts.findIndex((part) => !/^\w[\w.]*$/.test(part));
  const usable = plain < 0 ? parts : parts.slice(0, plain);
  return usable.map((_, index) => `${usable.slice(0, index + 1).join("-")}.mount`);
}
