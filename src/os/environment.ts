/**
 * The environment as the C library holds it: bytes that we pass on without looking at them. `process.env` cannot serve,
 * because it is text, and a value that is not UTF-8 would change on its way.
 */
import { dlopen, type Pointer, ptr, read } from "bun:ffi";
import { cstring, libc, libraryPath } from "./libc.ts";

/** Address of the variable `environ`; looked up by those who start something. */
let address: Pointer | undefined;

/** `dlsym` is in the C library since glibc 2.34, and in a file beside it before. */
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

/** Sets a variable for whatever we start from now on. `process.env` does not see it. */
export function setVariable(name: string, value: string): void {
  libc.setenv(cstring(name), cstring(value), 1);
}

/** Takes a variable away from whatever we start from now on. The others stay as they are, and in their order. */
export function unsetVariable(name: string): void {
  libc.unsetenv(cstring(name));
}

export function hasVariable(name: string): boolean {
  return libc.getenv(cstring(name)) !== null;
}

/** The value of a variable as it would be for whatever we start now. */
export function getVariable(name: string): string {
  return String(libc.getenv(cstring(name)) ?? "");
}

/** An environment of its own for one child. */
export interface Environment {
  /** As execve(2) takes it. */
  readonly pointers: BigUint64Array;
  /** What the pointers point to beside our own environment; must stay referenced while they are used. */
  readonly strings: readonly Uint8Array[];
}

/** Our environment with some variables set, which we ourselves do not get; the last of a name counts. */
export function environmentWith(variables: readonly (readonly [name: string, value: string])[]): Environment {
  const unique = new Map(variables);
  const names = [...unique.keys()].map((name) => new TextEncoder().encode(`${name}=`));
  const strings = [...unique].map(([name, value]) => cstring(`${name}=${value}`));
  const kept: bigint[] = [];
  const own = environment();
  for (let offset = 0; ; offset += 8) {
    const entry = read.ptr(own, offset) as Pointer;
    if (!entry) break;
    const isReplaced = names.some((name) => name.every((byte, index) => read.u8(entry, index) === byte));
    if (!isReplaced) kept.push(BigInt(entry));
  }
  const pointers = BigUint64Array.from([...kept, ...strings.map((text) => BigInt(ptr(text))), 0n]);
  return { pointers, strings };
}
