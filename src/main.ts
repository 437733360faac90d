/** argv and streams in, exit code out. */
import { runApp } from "./app.ts";
import { libc } from "./os/libc.ts";

const code = await runApp(process.argv.slice(2), {
  stdout: 1,
  stderr: 2,
  columns: () => (process.stdout.isTTY ? process.stdout.columns : undefined),
  rows: () => (process.stdout.isTTY ? process.stdout.rows : undefined),
});
// Not process.exit: all output is written, the database needs no closing, and the way out of the runtime costs 0.4 ms.
libc._exit(code);
