/** doctor on what is around: the service manager that may end workers, the clock, the environment. */
import { now } from "../linux/clock.ts";
import { readControlGroup } from "../linux/control-group.ts";
import { isClockKept } from "../linux/file-system.ts";
import { findEnd, findWhatKills, isSystemd } from "../systemd/logind.ts";
import { findObstacle, readKillMode } from "../systemd/scope.ts";
import { isFinding, type CheckContext } from "./check-context.ts";
import { type Finding, ok, warning } from "./finding.ts";

export async function checkSystemd(): Promise<Finding> {
  if (!isSystemd()) return ok("not under systemd: no service manager ends a worker");
  const group = readControlGroup("self");
  const end = findEnd(group);
  const hint = (text: string) => /: (loginctl .*)$/.exec(text)?.[1];
  if (end !== undefined) return warning(`started from here, ${end}`, hint(end) ?? "see loginctl(1)");
  const killer = findWhatKills(group, false);
  if (killer === undefined) return ok(`nothing ends a worker that is started from here (in ${group})`);
  const killMode = killer.endsWith(".service") ? await readKillMode(killer, group) : undefined;
  const unit = `${killer}${killMode === undefined ? "" : ` (KillMode=${killMode})`}`;
  if (killMode === "process" || killMode === "none")
    return ok(`started from here, a worker outlives ${unit}`);
  const obstacle = findObstacle();
  if (obstacle === undefined)
    return ok(`started from here, a worker gets a scope of its own, so that it outlives ${unit}`);
  return warning(
    `started from here, a worker ends with ${unit}, for it gets no scope of its own: ${obstacle}`,
    hint(obstacle) ?? "KillMode=process in the unit; or orchesjob run, where the unit is to be the job",
  );
}

/** A clock may be a little behind what it showed before it was set right, in microseconds. */
const TOLERANCE_US = 60_000_000;

export async function checkClock(checkContext: CheckContext): Promise<Finding> {
  const store = await checkContext.store();
  if (!isFinding(store)) {
    const filter = { statuses: [], runKeyPrefix: "", since: undefined, until: undefined, limit: 1 };
    const [newest] = await store.list(filter);
    const latest = Math.max(newest?.startedAt ?? 0, newest?.finishedAt ?? 0);
    if (latest > now() + TOLERANCE_US) {
      const behind = Math.round((latest - now()) / 1_000_000);
      return warning(
        `the clock is ${behind} s behind what it showed for job ${newest!.jobId}`,
        "set it right (timedatectl); until then clean goes by wrong ages",
      );
    }
  }
  // No promise depends on it, so it is no warning.
  const kept = isClockKept();
  return ok(
    kept === false
      ? "it goes forward; the kernel does not know that anybody keeps it right, on which only the times shown depend"
      : "it goes forward",
  );
}

/** What changes the Bun inside orchesjob, which reads it before our first line. A worker's runtime is never given it. */
const STEERS_BUN =
  /^(BUN_(OPTIONS|BE_BUN|INSPECT|JSC_|FEATURE_FLAG_|DEBUG|TRACE)|MIMALLOC_|mimalloc_|JSC_|JavaScriptCore|SIMDUTF_)/;

export function checkEnvironment(): Finding {
  const set = Object.keys(process.env).filter((name) => STEERS_BUN.test(name));
  if (set.length > 0) {
    return warning(
      `${set.join(" and ")}: set, and read by the Bun inside orchesjob before orchesjob itself`,
      `unset ${set.join(" ")}; who sets it for you may steer orchesjob, but not the jobs that run`,
    );
  }
  const home = process.env["ORCHESJOB_HOME"];
  if (home !== undefined && home !== "" && !home.startsWith("/")) {
    return warning(
      `ORCHESJOB_HOME is ${JSON.stringify(home)}, which is another directory wherever you are`,
      "set it to an absolute path",
    );
  }
  return ok("nothing in it that would change what orchesjob does");
}
