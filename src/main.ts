/** argv and streams in; which part of the program the words need. */
import type { Root } from "./run-command.ts";

/** The commands that are over in a moment have a root of their own: half of what they take is loading. */
function load(name: string | undefined): Promise<{ readonly main: Root }> {
  switch (name) {
    case "status":
      return import("./roots/status.ts");
    case "list":
      return import("./roots/list.ts");
    case "logs":
      return import("./roots/logs.ts");
    case "start":
      return import("./roots/start.ts");
    case "run":
      return import("./roots/run.ts");
    case "_worker":
    case "_hook":
    case "_copy":
      return import("./roots/worker.ts");
    case "version":
    case "--version":
      return import("./roots/version.ts");
    default:
      return import("./roots/all.ts");
  }
}

const argv = process.argv.slice(2);
const { main } = await load(argv[0]);
await main(argv, {
  stdout: 1,
  stderr: 2,
  columns: () => (process.stdout.isTTY ? process.stdout.columns : undefined),
  rows: () => (process.stdout.isTTY ? process.stdout.rows : undefined),
});
