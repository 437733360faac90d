/** The root of those that we start ourselves, detached: a worker comes up while somebody waits, and then stays in memory,
 *  so only what it needs is loaded. */
import { composeContext } from "../app/compose.ts";
import type { Root, Streams } from "../app/run-command.ts";
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

/** How long one attempt waits for the database, in ms. A worker asks again and again, and must in between hear signals,
 *  and the end of its command, whose time it notes. */
const PATIENCE_MS = 100;

export const main: Root = async (argv, streams) => endProcess(await runOwn(argv, streams));

/** Runs a worker, a hook or a copier by its words; returns its exit code. */
async function runOwn([name, ...words]: readonly string[], streams: Streams): Promise<number> {
  const { stderr } = streams;
  const diagnostics = createOutput(stderr, () => undefined);
  try {
    const command: Command = name === hook.name ? hook : name === copy.name ? copy : worker;
    const parsed = parseWords(command, words);
    // Somebody asks for its --help.
    if (parsed === undefined) return 0;
    const home = homeAt(String(parsed.options["home"]));
    const context = composeContext({
      ...{ home, busyTimeoutMs: PATIENCE_MS, acceptNewer: true, diagnostics },
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
