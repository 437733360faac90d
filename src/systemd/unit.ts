/** Asks systemd about the unit that we are in. Loaded only when a signal has come. */
import { isInUnit, readControlGroup, unitOf } from "../linux/control-group.ts";
import { getVariable } from "../linux/ffi/environment.ts";
import { libc } from "../linux/ffi/libc.ts";
import type { ProcessStat } from "../linux/self.ts";
import { ageOf } from "../processes/proc.ts";
import { type ManagerOption, SERVICE_OF_USER, showUnit } from "./systemctl.ts";

export interface Unit {
  readonly name: string;
  /** We are the main or control process of the unit. */
  readonly isOurs: boolean;
  /** systemd is stopping the unit, and has signalled every process in it, not only the main one. */
  readonly signalsAll: boolean;
  /** Seconds since its state changed; if systemd is stopping it, since the stop began. */
  readonly stateAge: number;
  /** How long after the signal systemd kills what is left of the unit, in ms; infinite if it will not, or does not say. */
  readonly killsAfterMs: number;
}

/** How long we wait for systemd's answer, in ms. */
const TIMEOUT_MS = 5_000;

/** The stop of the unit may have hit the first systemctl, which is in that unit. */
const TRIES = 2;

/** Undefined if we are in no unit. */
export function askUnit(): Unit | undefined {
  const group = readControlGroup("self");
  const name = unitOf(group);
  if (name === undefined) return undefined;
  const facts = show(name, SERVICE_OF_USER.test(group) ? "--user" : "--system");
  // Without an answer (no D-Bus) the variable that systemd sets for its process must do: systemd.exec(5), since version 248.
  if (facts === undefined) {
    const isOurs = getVariable("SYSTEMD_EXEC_PID") === String(process.pid);
    return { name, isOurs, signalsAll: false, stateAge: 0, killsAfterMs: Number.POSITIVE_INFINITY };
  }
  const isStopping = facts.get("ActiveState") === "deactivating";
  return {
    name,
    isOurs: [facts.get("MainPID"), facts.get("ControlPID")].includes(String(process.pid)),
    signalsAll: isStopping && facts.get("KillMode") === "control-group",
    stateAge: readMonotonicClock() - Number(facts.get("StateChangeTimestampMonotonic")) / 1e6,
    killsAfterMs: isStopping ? toMs(facts.get("TimeoutStopUSec")) : Number.POSITIVE_INFINITY,
  };
}

/** In seconds. systemd may have missed a process that started just while it signalled those of the unit. */
const BORN_BEFORE_S = 0.05;

/** Whether systemd has sent the signal that came to us to that process as well, as it does when it stops a unit. */
export function isHeardBy(process: ProcessStat): boolean {
  const unit = askUnit();
  return (
    unit !== undefined &&
    unit.signalsAll &&
    isInUnit(process.pid, unit.name) &&
    (ageOf(process) ?? 0) > unit.stateAge + BORN_BEFORE_S
  );
}

const FACTS = "MainPID,ControlPID,ActiveState,StateChangeTimestampMonotonic,KillMode,TimeoutStopUSec";

function show(unit: string, manager: ManagerOption): ReadonlyMap<string, string> | undefined {
  for (let tried = 0; tried < TRIES; tried++) {
    const facts = showUnit(manager, unit, FACTS, TIMEOUT_MS);
    if (facts !== undefined) return facts;
  }
  return undefined;
}

/** Ends this process by a signal with its default action. */
export function dieOf(signal: number): void {
  // null is SIG_DFL.
  libc.signal(signal, null);
  libc.kill(process.pid, signal);
}

const CLOCK_MONOTONIC = 1;

/** The clock of systemd's timestamps, in seconds. Bun's own clocks count from the start of the process. */
function readMonotonicClock(): number {
  const time = new BigInt64Array(2);
  libc.clock_gettime(CLOCK_MONOTONIC, time);
  return Number(time[0]) + Number(time[1]) / 1e9;
}

const MS: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
  month: 30.44 * 86_400_000,
  y: 365.25 * 86_400_000,
};

/** Parses a time in systemd's notation, `1min 30s` or `infinity`, into ms; infinite if there is none. See systemd.time(7). */
function toMs(text: string | undefined): number {
  const parts = [...(text ?? "").matchAll(/([\d.]+)([a-z]+)/g)];
  const sum = parts.reduce((total, [, count, unit]) => total + Number(count) * (MS[unit!] ?? Number.NaN), 0);
  return sum > 0 ? sum : Number.POSITIVE_INFINITY;
}
