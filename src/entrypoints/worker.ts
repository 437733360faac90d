/** Entry point of the detached processes: worker, hook runner, output copier. It loads only what they need, because a launcher
 *  waits while a worker starts, and the worker then stays in memory. */
import { composeContext } from "../app/compose.ts";
import type { EntryPoint, Streams } from "../app/run-command.ts";
import { COMMIT, VERSION } from "../app/version.ts";
import type { Command } from "../cli/command.ts";
import { copy } from "../cli/commands/copy.ts";
import { hook } from "../cli/commands/hook.ts";
import { worker } from "../cli/commands/worker.ts";
import { parseWords } from "../cli/options/parse.ts";
import { createOutput } from "../cli/output/output.ts";
import { report } from "../cli/output/report.ts";
import { endProcess } from "../linux/self.ts";
import { debug, setDebug } from "../state/debug.ts";
import { homeAt } from "../state/paths.ts";
import { locateOwnHome } from "../worker/spawn.ts";

/** How long one attempt waits for the database, in ms. It is short, because the worker retries anyway, and between attempts it
 *  must handle signals and note the time when its command ends. */
const BUSY_TIMEOUT_MS = 100;

export const main: EntryPoint = async (argv, streams) => endProcess(await runOwn(argv, streams));

/** Runs the process that the first word names; returns its exit code. */
async function runOwn([name, ...words]: readonly string[], streams: Streams): Promise<number> {
  const { stderr } = streams;
  const diagnostics = createOutput(stderr, () => undefined);
  try {
    const command: Command = name === hook.name ? hook : name === copy.name ? copy : worker;
    const parsed = parseWords(command, words);
    // `--help` was given; internal commands have none.
    if (parsed === undefined) return 0;
    const home = homeAt(String(parsed.options["home"]));
    const context = composeContext({
      ...{ home, busyTimeoutMs: BUSY_TIMEOUT_MS, acceptNewer: true, diagnostics },
      ...(command === worker && { locateHome: locateOwnHome }),
    });
    const { debug: file, jobId } = parsed.options;
    if (file !== undefined) {
      const job = typeof jobId === "string" ? { jobId } : {};
      setDebug(await streams.openDebug({ command: command.name, context, file: String(file), ...job }));
    }
    const program = { commands: [], version: VERSION, commit: COMMIT };
    const code = await command.run({ ...parsed, context, output: diagnostics, program });
    debug?.note(`ends with exit code ${code}`);
    return code;
  } catch (error) {
    debug?.note("fails", error);
    return report(error, stderr);
  }
}
