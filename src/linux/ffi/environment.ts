/**
 * The environment as the C library holds it: bytes that we pass on without looking at them. `process.env` cannot serve,
 * because it is text, and a value that is not UTF-8 would change on its way.
 */
import { CString, dlopen, type Pointer, ptr, read } from "bun:ffi";
import { cstring } from "./call.ts";
import { libc, libraryPath } from "./libc.ts";

/** Address of the variable `environ`; looked up by those who start something. */
let address: Pointer | undefined;

/** Since glibc 2.34 `dlsym` is in the C library itself; before, it is in a file beside it. */
function findVariable(name: string): Pointer {
  const beside = `${libraryPath.slice(0, libraryPath.lastIndexOf("/"))}/libdl.so.2`;
  const lookup = { dlsym: { args: ["ptr", "ptr"], returns: "ptr" } } as const;
  const open = (path: string) => dlopen(path, lookup).symbols.dlsym(null, cstring(name)) as Pointer;
  try {
    return open(libraryPath);
  } catch {
    return open(beside);
  }
}

/** A NULL-terminated array of NAME=VALUE, as execve(2) takes it. Valid until the next change. */
export function environment(): Pointer {
  address ??= findVariable("environ");
  return read.ptr(address, 0) as Pointer;
}

/** Sets a variable for the processes that we start from now on. `process.env` does not see it. */
export function setVariable(name: string, value: string): void {
  libc.setenv(cstring(name), cstring(value), 1);
}

/** The value of a variable that a process started now would inherit; empty if there is none. */
export function getVariable(name: string): string {
  return String(libc.getenv(cstring(name)) ?? "");
}

/** The environment of one child. */
export interface Environment {
  /** As execve(2) takes it. */
  readonly pointers: Uint32Array;
  /** The memory behind pointers to entries that are not our own; keep it referenced while the pointers are used. */
  readonly strings: readonly Uint8Array[];
}

export type Variables = readonly (readonly [name: string, value: string])[];

/**
 * The first four bytes of the names by which the runtime, its JavaScript engine, and the allocators in both can be steered;
 * the low byte first.
 */
const STEERING = [
  0x5f_4e_55_42, // BUN_
  0x45_44_4f_4e, // NODE
  0x41_4d_49_4d, // MIMA(LLOC)
  0x61_6d_69_6d, // mima(lloc)
  0x5f_43_53_4a, // JSC_; JSC_SIGNAL_FOR_GC takes a signal from us
  0x61_76_61_4a, // Java(ScriptCoreUseJIT)
  0x5f_46_54_57, // WTF_
  0x4b_62_65_57, // WebK(it)
  0x6c_6c_61_4d, // Mall(oc)
  0x44_4d_49_53, // SIMD(UTF_FORCE_IMPLEMENTATION)
];

/** Precedes such a name if the variable must reach the command, but not the runtime of the worker that starts it. */
const HIDDEN_PREFIX = "ORCHESJOB_HIDDEN_";
const HIDDEN = new TextEncoder().encode(HIDDEN_PREFIX);

const EQUALS = 61;

/**
 * Settings for the runtime of our own processes. By default it looks for garbage every second, which takes 30 ms of processor
 * time a minute, and prepares half a megabyte of heap. A worker has no garbage to collect, and needs no such heap. It also
 * starts threads when it collects or compiles, and aborts if it cannot (ulimit -u): the result of the job would be lost.
 */
const RUNTIME_SETTINGS: Variables = [
  ["BUN_GC_TIMER_DISABLE", "1"],
  ["BUN_JSC_useWarmUpMarkedBlocks", "0"],
  ["BUN_JSC_numberOfGCMarkers", "1"],
  ["BUN_JSC_useConcurrentGC", "0"],
  ["BUN_JSC_useConcurrentJIT", "0"],
];

/**
 * Makes the environment of a worker from ours: sets some variables and the settings of its runtime. Renames variables that
 * would steer that runtime (BUN_INSPECT would make it wait for a debugger); environmentForCommand renames them back, so that
 * the command gets them as they were.
 */
export function environmentForWorker(variables: Variables): Environment {
  return build([...variables, ...RUNTIME_SETTINGS], (entry, start) =>
    STEERING.includes(start) ? hide(entry) : entry,
  );
}

/** If this variable is set, the kernel kills the children of Bun.spawn when we end. */
const ENDS_CHILDREN = "BUN_FEATURE_FLAG_NO_ORPHANS";

/**
 * As environmentForWorker, for Bun.spawn. Undefined if Bun.spawn would not pass on exactly this environment, or would not let
 * the process outlive us.
 */
export function textForWorker(variables: Variables): Record<string, string> | undefined {
  const added = new Map([...variables, ...RUNTIME_SETTINGS]);
  const env: Record<string, string> = {};
  const own = environment();
  for (let offset = 0; ; offset += 8) {
    const address = read.ptr(own, offset) as Pointer;
    if (!address) break;
    const entry = String(new CString(address));
    const equals = entry.indexOf("=");
    const given = entry.slice(0, equals);
    const name = STEERING.includes(startOf(given)) ? HIDDEN_PREFIX + given : given;
    const isText = !entry.includes("\uFFFD");
    // An object cannot hold a name twice, inherits some names, and puts numbers first.
    const isKept = equals > 0 && !(name in env) && !/^\d+$/.test(name);
    if (!isText || !isKept || given === ENDS_CHILDREN) return undefined;
    env[name] = added.get(name) ?? entry.slice(equals + 1);
  }
  for (const [name, value] of added) env[name] = value;
  return env;
}

/** The first four characters of a name, as a number of STEERING. */
function startOf(name: string): number {
  let start = 0;
  for (let index = 3; index >= 0; index--) start = start * 256 + name.charCodeAt(index);
  return start;
}

/** Makes the environment of a command from a worker's: undoes what environmentForWorker did, and sets some variables. */
export function environmentForCommand(variables: Variables): Environment {
  return build(variables, (entry, start) => {
    if (beginsWith(entry, HIDDEN)) return (entry + HIDDEN.length) as Pointer;
    // The caller's variables of this kind are all renamed, so this one is a setting of our runtime.
    return STEERING.includes(start) ? undefined : entry;
  });
}

/** Our environment with some variables set, for this program in this same process. */
export function environmentOf(variables: Variables): Environment {
  return build(variables, (entry) => entry);
}

/**
 * Builds an environment from the entries of ours, in their order. `pass` keeps an entry, replaces it, or drops it (undefined).
 * `variables` replace entries of the same name, or follow at the end; the last value of a name counts.
 */
function build(
  variables: Variables,
  pass: (entry: Pointer, start: number) => Pointer | Uint8Array | undefined,
): Environment {
  const strings: Uint8Array[] = [];
  const ours: Own[] = [];
  for (const [name, value] of variables) addOwn(ours, name, value, strings);
  const addresses: number[] = [];
  const own = environment();
  for (let offset = 0; ; offset += 8) {
    const entry = read.ptr(own, offset) as Pointer;
    if (!entry) break;
    const passed = pass(entry, read.u32(entry, 0));
    if (passed === undefined) continue;
    if (typeof passed !== "number") strings.push(passed);
    const address = typeof passed === "number" ? passed : ptr(passed);
    const start = read.u16(address, 0);
    let mine: Own | undefined;
    // Most names differ in their first letters.
    for (const each of ours) if (each.start === start && beginsWith(address, each.name)) mine = each;
    if (mine === undefined) addresses.push(address);
    else if (!mine.isPlaced) {
      mine.isPlaced = true;
      addresses.push(mine.address);
    }
  }
  for (const each of ours) if (!each.isPlaced) addresses.push(each.address);
  return { pointers: pointerVector(addresses), strings };
}

/** A variable to set. */
interface Own {
  /** The name, followed by `=`. */
  readonly name: Uint8Array;
  /** Its first two bytes. */
  readonly start: number;
  /** Of the whole entry. */
  address: Pointer;
  isPlaced: boolean;
}

function addOwn(ours: Own[], name: string, value: string, strings: Uint8Array[]): void {
  const text = cstring(`${name}=${value}`);
  strings.push(text);
  const address = ptr(text);
  const bytes = text.subarray(0, text.indexOf(EQUALS) + 1);
  for (const each of ours) {
    if (each.name.length !== bytes.length || !beginsWith(address, each.name)) continue;
    each.address = address;
    return;
  }
  ours.push({ name: bytes, start: read.u16(address, 0), address, isPlaced: false });
}

/** A copy of an entry under the name that hides it from the runtime. */
function hide(entry: Pointer): Uint8Array {
  let length = 0;
  while (read.u8(entry, length) !== 0) length += 1;
  const hidden = new Uint8Array(HIDDEN.length + length + 1);
  hidden.set(HIDDEN);
  for (let index = 0; index < length; index++) hidden[HIDDEN.length + index] = read.u8(entry, index);
  return hidden;
}

function beginsWith(text: Pointer, bytes: Uint8Array): boolean {
  for (let index = 0; index < bytes.length; index++) if (read.u8(text, index) !== bytes[index]) return false;
  return true;
}

/**
 * A NULL-terminated array of pointers, in halves of 32 bits, the low one first: the first use of a BigUint64Array costs a
 * process 0.7 M instructions.
 */
export function pointerVector(addresses: readonly number[]): Uint32Array {
  const halves = new Uint32Array(2 * (addresses.length + 1));
  for (let index = 0; index < addresses.length; index++) {
    const address = addresses[index]!;
    halves[2 * index] = address;
    halves[2 * index + 1] = address / 2 ** 32;
  }
  return halves;
}

/** The name and the value of NAME=VALUE. */
export function splitVariable(text: string): [name: string, value: string] {
  const equals = text.indexOf("=");
  return [text.slice(0, equals), text.slice(equals + 1)];
}
