/**
 * The C library, through bun:ffi: what Bun has no call for (flock, poll, posix_spawn with a raw environment), and the few file
 * calls of the hot path. Measured on Bun 1.4.5: it costs 0.2 ms of a process's start; importing node:fs costs 0.8 ms, touching
 * process.stdout 7 ms. An empty executable takes 3.3 ms.
 */
import { dlopen } from "bun:ffi";
import { EXIT_CODES } from "../../job/errors.ts";
import { OWN_FAILURE } from "../../job/exit-status.ts";

/** Functions that nearly every process uses. */
const COMMON = {
  statx: { args: ["i32", "ptr", "i32", "u32", "ptr"], returns: "i32" },
  umask: { args: ["u32"], returns: "u32" },
  getrlimit: { args: ["i32", "ptr"], returns: "i32" },
  geteuid: { args: [], returns: "u32" },
  open: { args: ["ptr", "i32", "i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  syscall: { args: ["i64", "i64", "i64", "i64", "i64"], returns: "i64" },
  write: { args: ["i32", "ptr", "u64"], returns: "i64" },
  localtime_r: { args: ["ptr", "ptr"], returns: "ptr" },
  _exit: { args: ["i32"], returns: "void" },
} as const;

/**
 * Functions for processes that handle files. This table and the next are made only when needed, because that takes 150,000
 * instructions.
 */
const forFiles = () =>
  ({
    __errno_location: { args: [], returns: "ptr" },
    strerror: { args: ["i32"], returns: "cstring" },
    read: { args: ["i32", "ptr", "u64"], returns: "i64" },
    splice: { args: ["i32", "ptr", "i32", "ptr", "u64", "u32"], returns: "i64" },
    sendfile: { args: ["i32", "i32", "ptr", "u64"], returns: "i64" },
    lseek: { args: ["i32", "i64", "i32"], returns: "i64" },
    fsync: { args: ["i32"], returns: "i32" },
    mkdir: { args: ["ptr", "i32"], returns: "i32" },
    unlink: { args: ["ptr"], returns: "i32" },
    link: { args: ["ptr", "ptr"], returns: "i32" },
    readlink: { args: ["ptr", "ptr", "u64"], returns: "i64" },
  }) as const;

/** All others. */
const others = () =>
  ({
    chdir: { args: ["ptr"], returns: "i32" },
    fchdir: { args: ["i32"], returns: "i32" },
    pipe2: { args: ["ptr", "i32"], returns: "i32" },
    flock: { args: ["i32", "i32"], returns: "i32" },
    fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
    dup2: { args: ["i32", "i32"], returns: "i32" },
    ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
    rename: { args: ["ptr", "ptr"], returns: "i32" },
    futimens: { args: ["i32", "ptr"], returns: "i32" },
    poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
    mkfifo: { args: ["ptr", "u32"], returns: "i32" },
    inotify_init1: { args: ["i32"], returns: "i32" },
    inotify_add_watch: { args: ["i32", "ptr", "u32"], returns: "i32" },
    setrlimit: { args: ["i32", "ptr"], returns: "i32" },
    setenv: { args: ["ptr", "ptr", "i32"], returns: "i32" },
    unsetenv: { args: ["ptr"], returns: "i32" },
    getenv: { args: ["ptr"], returns: "cstring" },
    prctl: { args: ["i32", "ptr", "u64", "u64", "u64"], returns: "i32" },
    signal: { args: ["i32", "ptr"], returns: "ptr" },
    sigprocmask: { args: ["i32", "ptr", "ptr"], returns: "i32" },
    siginterrupt: { args: ["i32", "i32"], returns: "i32" },
    clock_gettime: { args: ["i32", "ptr"], returns: "i32" },
    kill: { args: ["i32", "i32"], returns: "i32" },
    waitid: { args: ["i32", "u32", "ptr", "i32"], returns: "i32" },
    wait4: { args: ["i32", "ptr", "i32", "ptr"], returns: "i32" },
    getpwuid: { args: ["u32"], returns: "ptr" },
    getgrgid: { args: ["u32"], returns: "ptr" },
    getxattr: { args: ["ptr", "ptr", "ptr", "u64"], returns: "i64" },
    posix_spawnp: { args: ["ptr", "ptr", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
    posix_spawn_file_actions_init: { args: ["ptr"], returns: "i32" },
    posix_spawn_file_actions_destroy: { args: ["ptr"], returns: "i32" },
    posix_spawn_file_actions_adddup2: { args: ["ptr", "i32", "i32"], returns: "i32" },
    posix_spawnattr_init: { args: ["ptr"], returns: "i32" },
    posix_spawnattr_setflags: { args: ["ptr", "i16"], returns: "i32" },
    posix_spawnattr_setsigdefault: { args: ["ptr", "ptr"], returns: "i32" },
    posix_spawnattr_setsigmask: { args: ["ptr", "ptr"], returns: "i32" },
  }) as const;

/**
 * Where the C library is: glibc on Debian and elsewhere, musl. Absolute, because Bun looks for any other name in the caller's
 * directory as well (docs/guarantees.md, 9).
 */
const PLACES = [
  "/lib/x86_64-linux-gnu/libc.so.6",
  "/lib64/libc.so.6",
  "/lib/aarch64-linux-gnu/libc.so.6",
  "/usr/lib/libc.so.6",
  "/lib/ld-musl-x86_64.so.1",
  "/lib/ld-musl-aarch64.so.1",
];

type Symbols = typeof COMMON & Others;
type Others = ReturnType<typeof forFiles> & ReturnType<typeof others>;
type Library = ReturnType<typeof dlopen<Symbols>>["symbols"];
type Bound = { -readonly [Name in keyof Library]?: Library[Name] };

/** Libraries that must not be collected while their functions are in use. */
const opened: unknown[] = [];

function bind(place: string, symbols: Partial<Symbols>): Bound {
  const library = dlopen(place, symbols as Symbols);
  opened.push(library);
  return library.symbols;
}

/** `path` is absolute. */
const { path: libraryPath, bound } = findLibrary();
export { libraryPath };

function findLibrary(): { readonly path: string; readonly bound: Bound } {
  // The build decides this: Bun knows the target.
  if (process.platform !== "linux")
    return stop(`this executable is for ${process.platform}, where orchesjob cannot run yet: it needs Linux`);
  for (const path of PLACES) {
    try {
      return { path, bound: bindCommon(path) };
    } catch {
      // The next place.
    }
  }
  try {
    const path = findMapped();
    return { path, bound: bindCommon(path) };
  } catch (error) {
    return leave(error);
  }
}

/** The C library that our own process was started with, wherever the system keeps it. */
function findMapped(): string {
  const maps = process.getBuiltinModule("node:fs").readFileSync("/proc/self/maps", "utf8");
  const found = /\/\S*\/(libc\.so(\.6)?|libc-2\.\d+\.so|ld-musl-\S+)$/m.exec(maps);
  if (found === null) throw new Error("it is not among the libraries of this process");
  return found[0];
}

/** Without the C library nothing of ours can run, not even the usual error report. */
function leave(error: unknown): never {
  const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
  return stop(
    `cannot load the C library: ${reason}; is memory limited (ulimit -v, ulimit -d), or a BUN_JSC_… variable set?`,
  );
}

function stop(message: string): never {
  console.error(`orchesjob: ${message}`);
  // The options are not parsed yet, and our failure must not look like the exit code of a command.
  const passesExitCode =
    process.argv[2] === "run" || process.argv[2] === "attach" || process.argv.includes("--exit-status");
  process.exit(passesExitCode ? OWN_FAILURE : EXIT_CODES.general);
}

function bindCommon(path: string): Bound {
  try {
    return bind(path, COMMON);
  } catch {
    const { statx, ...rest } = COMMON;
    return { ...bind(path, rest), statx: bindStatx(path) };
  }
}

/**
 * glibc before 2.28 and musl before 1.2.5 (Alpine before 3.20) have no function for statx(2), though the kernel has the call.
 */
function bindStatx(path: string): Library["statx"] {
  const { args, returns } = COMMON.statx;
  const library = dlopen(path, { syscall: { args: ["i64", ...args], returns } });
  opened.push(library);
  const number = process.arch === "arm64" ? 291 : 332;
  return ((...words) => library.symbols.syscall(number, ...words)) as Library["statx"];
}

/**
 * The functions of the C library. Binding one takes 30,000 instructions, or 16,000 if several are bound at once, and no
 * process uses them all. So the common ones are bound at the start, and the prototype binds each other one at its first use.
 */
export const libc = Object.setPrototypeOf(
  bound,
  new Proxy({}, { get: (_, name: keyof Others) => bindOther(name) }),
) as Library;

let files: Partial<Others> | undefined;
let rest: Partial<Others> | undefined;

function bindOther(name: keyof Others): unknown {
  const symbol =
    (files ??= forFiles() as Partial<Others>)[name] ?? (rest ??= others() as Partial<Others>)[name];
  return (bound[name] = bind(libraryPath, { [name]: symbol })[name] as never);
}
