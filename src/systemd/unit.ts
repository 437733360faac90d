/** The unit of systemd that we are in, by systemd's own word. Loaded and asked only when a signal has come. */
import { isInUnit, readControlGroup, unitOf } from "../linux/control-group.ts";
import { getVariable } from "../linux/ffi/environment.ts";
import { libc } from "../linux/ffi/libc.ts";
import type { ProcessStat } from "../linux/self.ts";
import { ageOf } from "../processes/proc.ts";
import { type ManagerOption, SERVICE_OF_USER, showUnit } from "./systemctl.ts";

export interface Unit {
  readonly name: string;
  /** We are the process that the unit stands for. */
  readonly isOurs: boolean;
  /** systemd is stopping the unit, and has sent the signal to every process of it, not to the main one only. */
  readonly signalsAll: boolean;
  /** Seconds since its state changed: where it is being stopped, since that began. */
  readonly stateAge: number;
  /** How long after the signal systemd kills what is left of the unit, in ms; infinite where it will not, or does not say. */
  readonly killsAfterMs: number;
}

/** For systemd's answer, in ms. */
const PATIENCE_MS = 2_000;

/** Another try: the first systemctl may have been hit by the stop of the unit that it is in. */
const TRIES = 2;

/** Undefined where we are in no unit. */
export function askUnit(): Unit | undefined {
  const group = readControlGroup("self");
  const name = unitOf(group);
  if (name === undefined) return undefined;
  const facts = show(name, SERVICE_OF_USER.test(group) ? "--user" : "--system");
  // Without an answer (no D-Bus in reach) what systemd gave its process must do: systemd.exec(5), since version 248.
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

/** In seconds: a process that began just when systemd went through those of the unit may have been left out. */
const BORN_BEFORE_S = 0.05;

/** Whether a signal of systemd that came to us has come to that process as well, as it does to all of a unit that is stopped. */
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
    const facts = showUnit(manager, unit, FACTS, PATIENCE_MS);
    if (facts !== undefined) return facts;
  }
  return undefined;
}

/** Ends us by a signal that would end anybody. */
export function dieOf(signal: number): void {
  // SIG_DFL.
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

/** From systemd's way to write a time: `1min 30s`, `infinity`. See systemd.time(7). */
function toMs(text: string | undefined): number {
  const parts = [...(text ?? "").matchAll(/([\d.]+)([a-z]+)/g)];
  const sum = parts.reduce((total, [, count, unit]) => total + Number(count) * (MS[unit!] ?? Number.NaN), 0);
  return sum > 0 ? sum : Number.POSITIVE_INFINITY;
}
