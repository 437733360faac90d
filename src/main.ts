/** Entry of the program: loads the entry point that the first word names, and nothing else. */
import type { EntryPoint } from "./app/run-command.ts";

/** Short commands have an entry point of their own, because loading takes half of their time. */
function load(name: string | undefined): Promise<{ readonly main: EntryPoint }> {
  switch (name) {
    case "status":
      return import("./entrypoints/status.ts");
    case "list":
      return import("./entrypoints/list.ts");
    case "logs":
      return import("./entrypoints/logs.ts");
    case "start":
      return import("./entrypoints/start.ts");
    case "run":
      return import("./entrypoints/run.ts");
    case "_worker":
    case "_hook":
    case "_copy":
      return import("./entrypoints/worker.ts");
    case "version":
    case "--version":
      return import("./entrypoints/version.ts");
    default:
      return import("./entrypoints/all.ts");
  }
}

const argv = process.argv.slice(2);
const { main } = await load(argv[0]);
await main(argv, {
  stdout: 1,
  stderr: 2,
  columns: () => (process.stdout.isTTY ? (process.stdout.columns ?? 0) : undefined),
  rows: () => (process.stdout.isTTY ? (process.stdout.rows ?? 0) : undefined),
  openDebug: async (order) => (await import("./entrypoints/debug.ts")).openDebugFile(order),
});
