/** Entry point of the commands without one of their own; also answers `--help`, and words that name no command. */
import type { Command } from "../cli/command.ts";
import { clean } from "../cli/commands/clean.ts";
import { cancel } from "../cli/commands/cancel.ts";
import { attach } from "../cli/commands/attach.ts";
import { agent } from "../cli/commands/agent.ts";
import { fleet } from "../cli/commands/fleet.ts";
import { guard } from "../cli/commands/guard.ts";
import { doctor } from "../cli/commands/doctor.ts";
import { complete } from "../cli/commands/complete.ts";
import { completion } from "../cli/commands/completion.ts";
import { list } from "../cli/commands/list.ts";
import { man } from "../cli/commands/man.ts";
import { metrics } from "../cli/commands/metrics.ts";
import { ps } from "../cli/commands/ps.ts";
import { report as reportCommand } from "../cli/commands/report.ts";
import { rerun } from "../cli/commands/rerun.ts";
import { result } from "../cli/commands/result.ts";
import { run } from "../cli/commands/run.ts";
import { schema } from "../cli/commands/schema.ts";
import { unlock } from "../cli/commands/unlock.ts";
import { wait } from "../cli/commands/wait.ts";
import { logs } from "../cli/commands/logs.ts";
import { start } from "../cli/commands/start.ts";
import { status } from "../cli/commands/status.ts";
import { serve } from "../cli/commands/serve.ts";
import { systemd } from "../cli/commands/systemd.ts";
import { top } from "../cli/commands/top.ts";
import { knownElsewhere } from "../cli/help/elsewhere.ts";
import { commandHelp, programHelp } from "../cli/help/help.ts";
import { nearest } from "../cli/help/nearest.ts";
import { createOutput } from "../cli/output/output.ts";
import { report } from "../cli/output/report.ts";
import { OWN_FAILURE } from "../job/exit-status.ts";
import { EXIT_CODES, OrchesjobError } from "../job/errors.ts";
import { endProcess } from "../linux/self.ts";
import { inspection } from "../app/inspection.ts";
import { asksForExitStatus, type EntryPoint, runCommand, type Streams } from "../app/run-command.ts";

export const COMMANDS: readonly Command[] = [
  start,
  run,
  status,
  list,
  ps,
  top,
  wait,
  attach,
  logs,
  result,
  cancel,
  rerun,
  unlock,
  clean,
  fleet,
  systemd,
  serve,
  doctor,
  metrics,
  reportCommand,
  schema,
  completion,
  man,
];

/** Internal commands: not in the help. */
const HIDDEN: readonly Command[] = [complete, agent, guard];

export const main: EntryPoint = async (argv, streams) => {
  const [name] = argv;
  const command = findCommand([...COMMANDS, ...HIDDEN], name);
  endProcess(
    command === undefined
      ? answerWithoutCommand(argv, streams)
      : await runCommand(command, argv, streams, COMMANDS, inspection),
  );
};

function findCommand(commands: readonly Command[], name: string | undefined): Command | undefined {
  return commands.find((each) => name !== undefined && (each.name === name || each.aliases?.includes(name)));
}

function answerWithoutCommand([name, ...words]: readonly string[], { stdout, stderr }: Streams): number {
  const isAskedFor = name === "--help" || name === "-h" || name === "help";
  try {
    if (name !== undefined && !isAskedFor) throw misplaced(name, words) ?? unknownCommand(name);
    const topic = name === "help" && words[0] !== "help" ? words[0] : undefined;
    const command = findCommand(COMMANDS, topic);
    if (topic !== undefined && !topic.startsWith("-") && command === undefined) throw unknownCommand(topic);
    createOutput(isAskedFor ? stdout : stderr, () => undefined).text(
      command === undefined ? programHelp(COMMANDS) : commandHelp(command),
    );
    return isAskedFor ? 0 : EXIT_CODES.usage;
  } catch (error) {
    const code = report(error, stderr);
    return asksForExitStatus(words) ? OWN_FAILURE : code;
  }
}

/** The error for options before the command; undefined if no command follows them. */
function misplaced(name: string, words: readonly string[]): OrchesjobError | undefined {
  if (!name.startsWith("-")) return undefined;
  const position = words.findIndex((word) => findCommand(COMMANDS, word) !== undefined);
  if (position < 0) return undefined;
  const options = [name, ...words.slice(0, position)];
  // Words that a shell would expand are not repeated, so that the suggested line is safe to paste.
  const shown = options.every((word) => /^[\w@%+=:,./-]+$/.test(word)) ? options.join(" ") : "…";
  return new OrchesjobError(
    "usage",
    `options go after the command: orchesjob ${words[position]} ${shown}${position + 1 < words.length && shown !== "…" ? " …" : ""}`,
  );
}

function unknownCommand(name: string): OrchesjobError {
  const known = knownElsewhere(name);
  if (known !== undefined)
    return new OrchesjobError("usage", `there is no command ${JSON.stringify(name)}`, `try: ${known}`);
  const isOption = name.startsWith("-");
  const commands = [...COMMANDS.map((command) => command.name), "help", "version"];
  const meant = (isOption ? meantOption(name) : undefined) ?? nearest(name, commands);
  const hint = meant === undefined ? "see: orchesjob --help" : `did you mean ${meant}?`;
  const what = isOption ? "orchesjob itself has no option" : "there is no command";
  return new OrchesjobError("usage", `${what} ${JSON.stringify(name)}`, hint);
}

/** The nearest of the two options that need no command. */
function meantOption(name: string): string | undefined {
  if (name === "-v" || name === "-V") return "--version";
  return nearest(`--${name.replace(/^-+/, "").toLowerCase()}`, ["--version", "--help"]);
}
