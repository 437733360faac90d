/** Watches a directory by inotify(7): costs nothing while nothing happens. */

/** Calls back with the name of each entry that is created, written or removed, or when a file changes. Does not keep the process alive. */
export function watchDirectory(path: string, callback: (name: string) => void): { close(): void } {
  const { watch } = process.getBuiltinModule("node:fs");
  return watch(path, { persistent: false }, (_event, name) => callback(String(name)));
}
