/** Entry point of the detached processes: worker, hook runner, output copier. It loads only what they need, because a launcher
 *  waits while a worker starts, and the worker then stays in memory. */
import { composeContext } from "../app/compose.ts";
import type { EntryPoint } from "../app/run-command.ts";
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

/** How long one attempt waits for the database, in ms. It is short, because the worker retries anyway, and between attempts it
 *  must handle signals and note the time when its command ends. */
const BUSY_TIMEOUT_MS = 100;

export const main: EntryPoint = async (argv, { stderr }) => endProcess(await runOwn(argv, stderr));

/** Runs the process that the first word names; returns its exit code. */
async function runOwn([name, ...words]: readonly string[], stderr: number): Promise<number> {
  const diagnostics = createOutput(stderr, () => undefined);
  try {
    const command: Command = name === hook.name ? hook : name === copy.name ? copy : worker;
    const parsed = parseWords(command, words);
    // `--help` was given; internal commands have none.
    if (parsed === undefined) return 0;
    const home = homeAt(String(parsed.options["home"]));
    return await command.run({
      ...parsed,
      context: composeContext({
        ...{ home, busyTimeoutMs: BUSY_TIMEOUT_MS, acceptNewer: true, diagnostics },
        ...(command === worker && { locateHome: locateOwnHome }),
      }),
      output: diagnostics,
      program: { commands: [], version: VERSION, commit: COMMIT },
    });
  } catch (error) {
    return report(error, stderr);
  }
}
