/**
 * Moving a worker into a scope of its own, a unit of systemd that nothing but its own end ends. Loaded only where there is a
 * systemd that would end the worker, or where a scope was asked for. Everything that systemd is asked has a limit of time.
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
