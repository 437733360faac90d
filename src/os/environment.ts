/**
 * The environment as the C library holds it: bytes that we pass on without looking at them. `process.env` cannot serve,
 * because it is text, and a value that is not UTF-8 would change on its way.
 */
import { dlopen, type Pointer, read } from "bun:ffi";
import { cstring, libc } from "./libc.ts";

/** Where `dlsym` is: in the C library since glibc 2.34, beside it before; musl has it in its only file. */
const LIBRARIES = ["libc.so.6", "libdl.so.2", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

/** Address of the variable `environ`; looked up by those who start something. */
let address: Pointer | undefined;

function findVariable(name: string): Pointer {
  for (const library of LIBRARIES) {
    try {
      const { dlsym } = dlopen(library, { dlsym: { args: ["ptr", "ptr"], returns: "ptr" } }).symbols;
      const found = dlsym(null, cstring(name));
      if (found !== null) return found as Pointer;
    } catch {
      // Not there; the next one.
    }
  }
  throw new Error(`the C library has no ${name}`);
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

/** The value of a variable as it would be for whatever we start now. */
export function getVariable(name: string): string {
  return String(libc.getenv(cstring(name)) ?? "");
}
