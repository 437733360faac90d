/**
 * Moving a worker into a scope of its own, a unit of systemd that nothing but its own end ends. Loaded only where there is a
 * systemd that would end the worker, or where a scope was asked for. Everything that systemd is asked has a limit of time.
 */
import { hasController, isInUnit, unitOf } from "../linux/control-group.ts";
import { readTextIfAny, statPath } from "../linux/file.ts";
import { libc } from "../linux/ffi/libc.ts";
import {
  managerEnvironment,
  type ManagerOption,
  runtimeDirectory,
  SERVICE_OF_USER,
  showCommand,
  toProperties,
} from "./systemctl.ts";
import { userName } from "../linux/users.ts";

/** Why there is no scope: the message is for people, without a full stop. */
export class ScopeError extends Error {
  override readonly name = "ScopeError";

  constructor(
    message: string,
    /** `refused`: systemd does not know a property, or not this value of it. */
    readonly kind: "refused" | "impossible" = "impossible",
  ) {
    super(message);
  }
}

/** How long systemd may take for a scope, in ms. */
const PATIENCE_MS = 5_000;
/** For an answer that only makes a word more exact, in ms. */
const SHORT_PATIENCE_MS = 2_000;

const SESSION = /\/user-(\d+)\.slice\/(session-[^/]+\.scope)(?=\/|$)/;

/**
 * The unit that will one day take the worker with it, if it stays in this group: the service that we are in, the login
 * session where logind kills the processes of its user, or somebody's service manager. Undefined: nobody will.
 * `supervised`: the caller waits for the job's end, so a service that ends the job with the caller is what it is for.
 */
export function findReaper(group: string, supervised: boolean): string | undefined {
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

function nameOf(uid: number): string {
  return userName(uid) ?? String(uid);
}

function isRoot(): boolean {
  return libc.geteuid() === 0;
}

/** Whether systemd is the first process here, so that its process numbers are ours, too. */
export function isSystemd(): boolean {
  // Where /proc hides it (hidepid=), its directory must do: sd_booted(3).
  const first = readTextIfAny("/proc/1/comm");
  return first === undefined ? isInReach() : first === "systemd\n";
}

/** Whether we see its files: not in a service with a root directory of its own. */
function isInReach(): boolean {
  return statPath("/run/systemd/system") !== undefined;
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

const CONFIGURATION = ["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"];

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

export interface ScopeRequest {
  readonly unit: string;
  /** For people who look at the units. */
  readonly description: string;
  readonly pid: number;
  /** NAME=VALUE, as systemd-run takes them. */
  readonly properties: readonly string[];
  /** A directory that must be there as long as the scope: at a shutdown its file system goes after the scope. */
  readonly directory: string;
}

/** Returns when the process is in its scope, with all that was asked for in force. Throws ScopeError. */
export async function moveToScope(request: ScopeRequest): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  const manager = findManager();
  // systemd before 253 does not know it of scopes; then nothing but the kernel acts when the memory is out.
  const own: Setting[] = [["OOMPolicy", "continue"]];
  const mounts = isRoot() ? mountsOf(request.directory) : [];
  if (mounts.length > 0) own.push(["After", mounts]);
  let answer = await ask(manager, request, own, deadline);
  if (
    answer.includes("OOMPolicy") &&
    !request.properties.some((property) => property.startsWith("OOMPolicy="))
  )
    answer = await ask(manager, request, own.slice(1), deadline);
  if (answer !== "") throw explain(answer, request);
  while (!isInUnit(request.pid, request.unit)) {
    if (readTextIfAny(`/proc/${request.pid}/cgroup`) === undefined) return;
    if (performance.now() > deadline) throw tooSlow();
    await Bun.sleep(1);
  }
  for (const property of request.properties) checkController(property, request);
}

/** Why nobody would make a scope for us, for people; undefined: somebody would. Nothing is made. */
export function findObstacle(): string | undefined {
  try {
    const { env } = findManager();
    const missing = ["busctl", "systemd-run"].find((name) => Bun.which(name, env) === null);
    return missing === undefined ? undefined : `there is no ${missing} in ${env["PATH"]}`;
  } catch (error) {
    if (error instanceof ScopeError) return error.message;
    throw error;
  }
}

/**
 * What systemd does at the end of a service with what is left of it: systemd.kill(5), KillMode=. Undefined: it does not say.
 * `group`: ours, which the service is around.
 */
export async function readKillMode(unit: string, group: string): Promise<string | undefined> {
  const manager = SERVICE_OF_USER.test(group) && !unit.startsWith("user@") ? "--user" : "--system";
  try {
    const child = Bun.spawn([...showCommand(manager, unit, "KillMode")], {
      env: managerEnvironment(),
      cwd: "/",
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
    });
    const alarm = setTimeout(() => child.kill("SIGKILL"), SHORT_PATIENCE_MS);
    const said = await new Response(child.stdout).text();
    clearTimeout(alarm);
    return toProperties(said).get("KillMode") || undefined;
  } catch {
    return undefined;
  }
}

/** Whether a unit's end is the end of what is in it: not with KillMode=process, as cron and sshd often have it. */
export async function endsWithUnit(unit: string, group: string): Promise<boolean> {
  const killMode = unit.endsWith(".service") ? await readKillMode(unit, group) : undefined;
  return killMode !== "process" && killMode !== "none";
}

interface Manager {
  readonly option: ManagerOption;
  readonly env: Readonly<Record<string, string>>;
}

/** Who may make a scope for us: the system's manager for root, one's own for anybody else. Throws ScopeError. */
function findManager(): Manager {
  if (!isSystemd()) throw new ScopeError("systemd does not run here");
  if (!isInReach()) throw new ScopeError("systemd is out of reach: there is no /run/systemd/system");
  if (isRoot()) return { option: "--system", env: managerEnvironment() };
  const uid = libc.geteuid();
  if (statPath(`${runtimeDirectory(uid)}/systemd/private`) === undefined) {
    const name = nameOf(uid);
    throw new ScopeError(
      `${name} has no service manager of its own running; to have one always: loginctl enable-linger ${name}`,
    );
  }
  return { option: "--user", env: managerEnvironment() };
}

type Setting = readonly [name: string, value: string | readonly string[]];

/**
 * The units of the mounts that a directory may be on. A scope that is ordered after them is stopped before they are: at a
 * shutdown the result can still be written. Ordered only, so that none is mounted for it. Names that would have to be escaped
 * are left out.
 */
function mountsOf(directory: string): readonly string[] {
  const parts = directory.split("/").slice(1);
  const plain = parts.findIndex((part) => !/^\w[\w.]*$/.test(part));
  const usable = plain < 0 ? parts : parts.slice(0, plain);
  return usable.map((_, index) => `${usable.slice(0, index + 1).join("-")}.mount`);
}

const MANAGER_OBJECT = [
  "org.freedesktop.systemd1",
  "/org/freedesktop/systemd1",
  "org.freedesktop.systemd1.Manager",
];

/** What systemd has to say against it; empty: nothing. */
function ask(
  manager: Manager,
  request: ScopeRequest,
  own: readonly Setting[],
  deadline: number,
): Promise<string> {
  const { unit, pid, properties, description } = request;
  const call = ["busctl", manager.option, "call", ...MANAGER_OBJECT];
  if (properties.length === 0) {
    const words = [
      ...["Description", "s", description],
      ...["CollectMode", "s", "inactive-or-failed"],
      ...["PIDs", "au", "1", `${pid}`],
      ...own.flatMap(([name, value]) =>
        typeof value === "string" ? [name, "s", value] : [name, "as", String(value.length), ...value],
      ),
    ];
    const count = String(3 + own.length);
    const arguments_ = ["StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail", count, ...words, "0"];
    return execute([...call, ...arguments_], manager, deadline);
  }
  // Properties in systemd's own notation only systemd-run understands, and it moves nobody but itself. So the first process
  // of the scope is a call that lets the worker in, which has to be a delegated one for that; no controller is.
  const attach = [...call, "AttachProcessesToUnit", "ssau", unit, "", "1", `${pid}`];
  const defaults = own.map(
    ([name, value]) => `${name}=${typeof value === "string" ? value : value.join(" ")}`,
  );
  const options = [...defaults, ...properties, "Delegate="].map((property) => `--property=${property}`);
  return execute(
    [
      ...["systemd-run", manager.option, "--scope", "--quiet", "--collect", "--no-ask-password"],
      ...[`--unit=${unit}`, `--description=${description}`, ...options, "--", ...attach],
    ],
    manager,
    deadline,
  );
}

/** What a program says that fails; empty where it does not. Throws ScopeError where it takes too long, or is not there. */
async function execute(command: readonly string[], manager: Manager, deadline: number): Promise<string> {
  let child: Bun.Subprocess<"ignore", "ignore", "pipe">;
  try {
    child = Bun.spawn([...command], {
      env: manager.env,
      cwd: "/",
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
  } catch {
    throw new ScopeError(`there is no ${command[0]} in ${manager.env["PATH"]}`);
  }
  let isLate = false;
  const end = () => {
    isLate = true;
    child.kill("SIGKILL");
  };
  const alarm = setTimeout(end, Math.max(0, deadline - performance.now()));
  const said = (await new Response(child.stderr).text()).trim();
  await child.exited;
  clearTimeout(alarm);
  if (child.exitCode === 0) return "";
  if (isLate) throw tooSlow();
  return said || `${command[0]} ended with ${child.signalCode ?? child.exitCode}; is a limit too small?`;
}

function tooSlow(): ScopeError {
  return new ScopeError(`systemd did not answer within ${PATIENCE_MS / 1000} seconds`);
}

/** Failures that have nothing to do with what was asked for. */
const OUT_OF_REACH = /\bbus\b|connect|^Call failed|denied|Permission|authenti|not permitted|Too many/i;

function explain(answer: string, { properties }: ScopeRequest): ScopeError {
  const words = `systemd says: ${answer.replace(/\s*\n\s*/g, "; ").replace(/\.$/, "")}`;
  const isRefusal = properties.length > 0 && !OUT_OF_REACH.test(answer);
  return new ScopeError(words, isRefusal ? "refused" : "impossible");
}

/** What a property needs of the kernel, by the first words of its name: systemd.resource-control(5). */
const CONTROLLERS: readonly (readonly [prefix: RegExp, controller: string])[] = [
  [/^(Startup)?Memory/, "memory"],
  [/^(Startup)?CPU(Weight|Shares|Quota)/, "cpu"],
  [/^(Startup)?Allowed(CPUs|MemoryNodes)/, "cpuset"],
  [/^(Startup)?IO(Weight|DeviceWeight|Read|Write|DeviceLatency)/, "io"],
  [/^TasksMax/, "pids"],
];

/** A limit that systemd has noted and nobody enforces would be a false word. */
function checkController(property: string, { pid, unit }: ScopeRequest): void {
  const controller = CONTROLLERS.find(([prefix]) => prefix.test(property))?.[1];
  if (controller === undefined || hasController(pid, unit, controller)) return;
  const whose = isRoot() ? "here" : "for your service manager";
  throw new ScopeError(
    `${property} would have no effect: the kernel's ${controller} controller is not available ${whose} (see systemd.resource-control(5))`,
  );
}
