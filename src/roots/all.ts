/** All commands for people, for what has no root of its own, and for what is no command. */
import type { Command } from "../cli/command.ts";
import { clean } from "../cli/commands/clean.ts";
import { cancel } from "../cli/commands/cancel.ts";
import { doctor } from "../cli/commands/doctor.ts";
import { complete } from "../cli/commands/complete.ts";
import { completion } from "../cli/commands/completion.ts";
import { list } from "../cli/commands/list.ts";
import { man } from "../cli/commands/man.ts";
import { metrics } from "../cli/commands/metrics.ts";
import { rerun } from "../cli/commands/rerun.ts";
import { result } from "../cli/commands/result.ts";
import { run } from "../cli/commands/run.ts";
import { unlock } from "../cli/commands/unlock.ts";
import { wait } from "../cli/commands/wait.ts";
import { logs } from "../cli/commands/logs.ts";
import { start } from "../cli/commands/start.ts";
import { status } from "../cli/commands/status.ts";
import { systemd } from "../cli/commands/systemd.ts";
import { programHelp } from "../cli/help.ts";
import { nearest } from "../cli/nearest.ts";
import { createOutput } from "../cli/output.ts";
import { report } from "../cli/report.ts";
import { OWN_FAILURE } from "../job/exit-status.ts";
import { EXIT_CODES, OrchesjobError } from "../job/errors.ts";
import { endProcess } from "../os/self.ts";
import { asksForExitStatus, type Root, runCommand, type Streams } from "../run-command.ts";

export const COMMANDS: readonly Command[] = [
  start,
  run,
  status,
  list,
  wait,
  logs,
  result,
  cancel,
  rerun,
  unlock,
  clean,
  systemd,
  doctor,
  metrics,
  completion,
  man,
];

/** Not for people. */
const HIDDEN: readonly Command[] = [complete];

export const main: Root = async (argv, streams) => {
  const [name] = argv;
  const command = [...COMMANDS, ...HIDDEN].find(
    (each) => each.name === name || each.aliases?.includes(name ?? ""),
  );
  endProcess(
    command === undefined
      ? answerWithoutCommand(argv, streams)
      : await runCommand(command, argv, streams, COMMANDS),
  );
};

function answerWithoutCommand([name, ...words]: readonly string[], { stdout, stderr }: Streams): number {
  const isAskedFor = name === "--help" || name === "-h" || name === "help";
  try {
    if (name !== undefined && !isAskedFor) throw unknownCommand(name);
    createOutput(isAskedFor ? stdout : stderr, () => undefined).text(programHelp(COMMANDS));
    return isAskedFor ? 0 : EXIT_CODES.usage;
  } catch (error) {
    const code = report(error, stderr);
    return asksForExitStatus(words) ? OWN_FAILURE : code;
  }
}

function unknownCommand(name: string): OrchesjobError {
  const meant = nearest(
    name,
    COMMANDS.map((command) => command.name),
  );
  return new OrchesjobError(
    "usage",
    `there is no command ${JSON.stringify(name)}; ${meant === undefined ? "see: orchesjob --help" : `did you mean ${meant}?`}`,
  );
}
