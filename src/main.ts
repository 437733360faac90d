/** argv and streams in, exit code out. */
import { report } from "./cli/report.ts";
import { writeAll } from "./os/file.ts";
import { libc } from "./os/libc.ts";
import { VERSION_LINE } from "./version.ts";

const STDOUT = 1;
const STDERR = 2;

/** Without the program behind it: to load that would take longer than all the rest. */
function sayVersion(): number {
  try {
    writeAll(STDOUT, new TextEncoder().encode(VERSION_LINE));
    return 0;
  } catch (error) {
    return report(error, STDERR);
  }
}

async function runProgram(argv: readonly string[]): Promise<number> {
  if (argv[0] === "_worker" || argv[0] === "_hook")
    return (await import("./worker-app.ts")).runWorkerApp(argv, STDERR);
  const { runApp } = await import("./app.ts");
  return runApp(argv, {
    stdout: STDOUT,
    stderr: STDERR,
    columns: () => (process.stdout.isTTY ? process.stdout.columns : undefined),
    rows: () => (process.stdout.isTTY ? process.stdout.rows : undefined),
  });
}

const argv = process.argv.slice(2);
const code = argv[0] === "--version" || argv[0] === "version" ? sayVersion() : await runProgram(argv);
// Not process.exit: all output is written, the database needs no closing, and the way out of the runtime costs 0.4 ms.
libc._exit(code);
