/** The root of a worker. Only what it needs is loaded: it comes up while somebody waits, and then stays in memory. */
import { worker } from "./cli/commands/worker.ts";
import { createOutput } from "./cli/output.ts";
import { parseWords } from "./cli/parse.ts";
import { report } from "./cli/report.ts";
import { composeContext } from "./compose.ts";
import { homeAt } from "./os/home.ts";
import { COMMIT, VERSION } from "./version.ts";

/** How long one attempt waits for the database, in ms. A worker asks again and again, and must in between hear signals,
 *  and the end of its command, whose time it notes. */
const PATIENCE_MS = 100;

/** Runs a worker by the words after its name; returns its exit code. */
export async function runWorkerApp(words: readonly string[], stderr: number): Promise<number> {
  const diagnostics = createOutput(stderr, () => undefined);
  try {
    const parsed = parseWords(worker, words);
    // Somebody asks for its --help.
    if (parsed === undefined) return 0;
    const home = homeAt(String(parsed.options["home"]));
    return await worker.run({
      ...parsed,
      context: composeContext({ home, patienceMs: PATIENCE_MS, acceptNewer: true, diagnostics }),
      output: diagnostics,
      program: { commands: [], version: VERSION, commit: COMMIT },
    });
  } catch (error) {
    return report(error, stderr);
  }
}
