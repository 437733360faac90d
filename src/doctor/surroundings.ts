/** doctor's checks of the surroundings: the service manager that may end workers, the clock, the environment. */
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
    return ok(`a worker that is started from here survives the end of ${unit}`);
  const obstacle = findObstacle();
  if (obstacle === undefined)
    return ok(
      `a worker that is started from here gets a scope of its own, so it survives the end of ${unit}`,
    );
  return warning(
    `a worker that is started from here ends with ${unit}, because it gets no scope of its own: ${obstacle}`,
    hint(obstacle) ??
      "set KillMode=process in the unit; or use orchesjob run, if the unit is meant to be the job",
  );
}

/** How far the clock may lag behind the newest recorded time, because it was corrected, in microseconds. */
const TOLERANCE_US = 60_000_000;

export async function checkClock(checkContext: CheckContext): Promise<Finding> {
  const store = await checkContext.store();
  if (!isFinding(store)) {
    const filter = {
      statuses: [],
      labels: new Map(),
      runKeyPrefix: "",
      since: undefined,
      until: undefined,
      limit: 1,
    };
    const [newest] = await store.list(filter);
    const latest = Math.max(newest?.startedAt ?? 0, newest?.finishedAt ?? 0);
    if (latest > now() + TOLERANCE_US) {
      const behind = Math.round((latest - now()) / 1_000_000);
      return warning(
        `the clock is ${behind} s behind the times of job ${newest!.jobId}`,
        "set it right (timedatectl); until then, clean uses wrong ages",
      );
    }
  }
  // No guarantee depends on a synchronized clock, so this is no warning.
  const kept = isClockKept();
  return ok(
    kept === false
      ? "no sign that it was set back; the kernel calls it unsynchronized, which affects only the times shown"
      : "no sign that it was set back",
  );
}

/** Variables that change the Bun inside orchesjob, which reads them before orchesjob's first line. Workers start without them. */
const STEERS_BUN =
  /^(BUN_(OPTIONS|BE_BUN|INSPECT|JSC_|FEATURE_FLAG_|DEBUG|TRACE)|MIMALLOC_|mimalloc_|JSC_|JavaScriptCore|SIMDUTF_)/;

export function checkEnvironment(): Finding {
  const set = Object.keys(process.env).filter((name) => STEERS_BUN.test(name));
  if (set.length > 0) {
    return warning(
      `${set.join(" and ")}: set, and the Bun inside orchesjob reads ${set.length === 1 ? "it" : "them"} before orchesjob starts`,
      `unset ${set.join(" ")}; whoever sets ${set.length === 1 ? "it" : "them"} for you can steer orchesjob, but not the jobs that run`,
    );
  }
  const home = process.env["ORCHESJOB_HOME"];
  if (home !== undefined && home !== "" && !home.startsWith("/")) {
    return warning(
      `ORCHESJOB_HOME is ${JSON.stringify(home)}, which names a different directory depending on where you are`,
      "set it to an absolute path",
    );
  }
  return ok("no variable steers Bun, and ORCHESJOB_HOME is not a relative path");
}
