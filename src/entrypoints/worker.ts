/** The root of those that we start ourselves, detached: a worker comes up while somebody waits, and then stays in memory,
 *  so only what it needs is loaded. */
import { composeContext } from "../app/compose.ts";
import type { Root } from "../app/run-command.ts";
import { COMMIT, VERSION } from "../app/version.ts";
import type { Command } from "../cli/command.ts";
import { copy } from "../cli/commands/copy.ts";
import { hook } from "../cli/commands/hook.ts";
import { worker } from "../cli/commands/worker.ts";
import { parseWords } from "../cli/options/parse.ts";
import { createOutput } from "../cli/output/output.ts";
import { report } from "../cli/output/report.ts";
import { endProcess } from "../linux/self.ts";
import { homeAt } from "../state/paths.ts";
import { locateOwnHome } from "../worker/spawn.ts";

/** How long one attempt waits for the database, in ms. A worker asks again and again, and must in between hear signals,
 *  and the end of its command, whose time it notes. */
const PATIENCE_MS = 100;

export const main: Root = async (argv, { stderr }) => endProcess(await runOwn(argv, stderr));

/** Runs a worker, a hook or a copier by its words; returns its exit code. */
async function runOwn([name, ...words]: readonly string[], stderr: number): Promise<number> {
  const diagnostics = createOutput(stderr, () => undefined);
  try {
    const command: Command = name === hook.name ? hook : name === copy.name ? copy : worker;
    const parsed = parseWords(command, words);
    // Somebody asks for its --help.
    if (parsed === undefined) return 0;
    const home = homeAt(String(parsed.options["home"]));
    return await command.run({
      ...parsed,
      context: composeContext({
        ...{ home, busyTimeoutMs: PATIENCE_MS, acceptNewer: true, diagnostics },
        ...(command === worker && { locateHome: locateOwnHome }),
      }),
      output: diagnostics,
      program: { commands: [], version: VERSION, commit: COMMIT },
    });
  } catch (error) {
    return report(error, stderr);
  }
}
