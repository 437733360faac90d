/**
 * Moves a worker into a scope of its own: a systemd unit that ends only when its processes have ended. Loaded only if systemd
 * would end the worker, or the caller asked for a scope. Every request to systemd has a time limit.
 */
import { hasController, isInUnit } from "../linux/control-group.ts";
import { libc } from "../linux/ffi/libc.ts";
import { readTextIfAny } from "../linux/file.ts";
import { statPath } from "../linux/stat.ts";
import { isInReach, isRoot, isSystemd, mountsOf, nameOf } from "./logind.ts";
import {
  managerEnvironment,
  type ManagerOption,
  runtimeDirectory,
  SERVICE_OF_USER,
  showCommand,
  toProperties,
} from "./systemctl.ts";

/** Why there is no scope. The message is for the user, without a full stop. */
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
const TIMEOUT_MS = 5_000;
/** How long systemd may take for an answer that only makes a message more exact, in ms. */
const SHORT_TIMEOUT_MS = 2_000;

export interface ScopeRequest {
  readonly unit: string;
  /** Shown to people who list the units. */
  readonly description: string;
  readonly pid: number;
  /** NAME=VALUE, as systemd-run takes them. */
  readonly properties: readonly string[];
  /** A directory that the scope needs: at a shutdown systemd unmounts its file system after the scope has stopped. */
  readonly directory: string;
}

/**
 * Resolves when the process is in its scope and all requested properties are in force, or when it has ended. Throws
 * ScopeError.
 */
export async function moveToScope(request: ScopeRequest): Promise<void> {
  const deadline = performance.now() + TIMEOUT_MS;
  const manager = findManager();
  // systemd before 253 refuses OOMPolicy= for scopes; then only the kernel's OOM killer acts.
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

/** Explains to the user why no scope can be created for us; undefined: one can. Creates nothing. */
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
 * Returns KillMode= of a unit: systemd.kill(5). Undefined if systemd does not say. `group`: our control group, which is in
 * that unit.
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
    const alarm = setTimeout(() => child.kill("SIGKILL"), SHORT_TIMEOUT_MS);
    const said = await new Response(child.stdout).text();
    clearTimeout(alarm);
    return toProperties(said).get("KillMode") || undefined;
  } catch {
    return undefined;
  }
}

/** Whether a unit's end ends the processes in it: not with KillMode=process, which cron and sshd often have. */
export async function endsWithUnit(unit: string, group: string): Promise<boolean> {
  const killMode = unit.endsWith(".service") ? await readKillMode(unit, group) : undefined;
  return killMode !== "process" && killMode !== "none";
}

interface Manager {
  readonly option: ManagerOption;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Returns the manager that can create a scope for us: the system's for root, the user's own for anybody else. Throws
 * ScopeError.
 */
function findManager(): Manager {
  if (!isSystemd()) throw new ScopeError("systemd is not running here");
  if (!isInReach()) throw new ScopeError("systemd cannot be reached: there is no /run/systemd/system");
  if (isRoot()) return { option: "--system", env: managerEnvironment() };
  const uid = libc.geteuid();
  if (statPath(`${runtimeDirectory(uid)}/systemd/private`) === undefined) {
    const name = nameOf(uid);
    throw new ScopeError(
      `user ${name} has no running service manager; to keep one running: loginctl enable-linger ${name}`,
    );
  }
  return { option: "--user", env: managerEnvironment() };
}

type Setting = readonly [name: string, value: string | readonly string[]];

const MANAGER_OBJECT = [
  "org.freedesktop.systemd1",
  "/org/freedesktop/systemd1",
  "org.freedesktop.systemd1.Manager",
];

/** Asks systemd for the scope. Resolves to systemd's error message; empty on success. */
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
  // Only systemd-run understands properties in systemd's own notation, and it moves only itself. So the first process of the
  // scope is a call that attaches the worker. Only a delegated scope allows that; it is delegated with no controllers.
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

/**
 * Runs a program. Resolves to its error message if it fails; empty on success. Throws ScopeError if it takes too long, or does
 * not exist.
 */
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
  return new ScopeError(`systemd did not answer within ${TIMEOUT_MS / 1000} seconds`);
}

/** Failures that have nothing to do with the requested properties. */
const OUT_OF_REACH = /\bbus\b|connect|^Call failed|denied|Permission|authenti|not permitted|Too many/i;

function explain(answer: string, { properties }: ScopeRequest): ScopeError {
  const words = `systemd says: ${answer.replace(/\s*\n\s*/g, "; ").replace(/\.$/, "")}`;
  const isRefusal = properties.length > 0 && !OUT_OF_REACH.test(answer);
  return new ScopeError(words, isRefusal ? "refused" : "impossible");
}

/** The kernel controller that a property needs, by the beginning of its name: systemd.resource-control(5). */
const CONTROLLERS: readonly (readonly [prefix: RegExp, controller: string])[] = [
  [/^(Startup)?Memory/, "memory"],
  [/^(Startup)?CPU(Weight|Shares|Quota)/, "cpu"],
  [/^(Startup)?Allowed(CPUs|MemoryNodes)/, "cpuset"],
  [/^(Startup)?IO(Weight|DeviceWeight|Read|Write|DeviceLatency)/, "io"],
  [/^TasksMax/, "pids"],
];

/** Throws ScopeError if the kernel cannot enforce the property: systemd accepts such a limit all the same. */
function checkController(property: string, { pid, unit }: ScopeRequest): void {
  const controller = CONTROLLERS.find(([prefix]) => prefix.test(property))?.[1];
  if (controller === undefined || hasController(pid, unit, controller)) return;
  const whose = isRoot() ? "here" : "for your service manager";
  throw new ScopeError(
    `${property} would have no effect: the kernel's ${controller} controller is not available ${whose} (see systemd.resource-control(5))`,
  );
}
