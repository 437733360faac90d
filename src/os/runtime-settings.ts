/**
 * Settings of the runtime in a worker, which it takes from its environment only. They are put there by the launcher, and
 * taken out again by the worker before it starts anything: its environment is what the target gets (law 8). A variable
 * that the caller has set, to whatever value, is left as it is.
 */
import { hasVariable, setVariable, unsetVariable } from "./environment.ts";

const SETTINGS = {
  // A look every second for what could be collected: 30 ms of processor a minute, and nothing to be found in a worker.
  BUN_GC_TIMER_DISABLE: "1",
  // Half a megabyte of heap that a thread makes ready for a program that will need it. A worker will not.
  BUN_JSC_useWarmUpMarkedBlocks: "0",
};

/** Runs what starts a worker, with the settings made. It is given the names of the variables, which the worker must unset. */
export function withRuntimeSettings<T>(start: (names: readonly string[]) => T): T {
  const names: string[] = [];
  for (const [name, value] of Object.entries(SETTINGS)) {
    if (hasVariable(name)) continue;
    setVariable(name, value);
    names.push(name);
  }
  try {
    return start(names);
  } finally {
    for (const name of names) unsetVariable(name);
  }
}

/** Called by the worker with the names that it was given. */
export function dropRuntimeSettings(names: readonly string[]): void {
  for (const name of names) unsetVariable(name);
}
