/** Completion for fish. */
import type { Command, Option } from "../command.ts";
import script from "./completion.fish" with { type: "text" };
import { fill, type Listed, takesCommand, takesKeys, takesSeveral, type Wording } from "./listed.ts";

const FISH_ARGUMENTS = {
  "run-key": "(__orchesjob_live run-key)",
  "job-id": "(__orchesjob_live job-id)",
  label: "(__orchesjob_live label)",
  "label-name": "(__orchesjob_live label-name)",
  field: "(__orchesjob_live field)",
  directory: "(__orchesjob_directories)",
} as const;

export function fishScript(listed: readonly Listed[], { help }: Wording): string {
  const quoted = (text: string) => `'${text.replace(/[\\']/g, "\\$&")}'`;
  const line = (condition: string, rest: string) => `complete -c orchesjob -n ${quoted(condition)} ${rest}`;
  const value = ({ placeholder, choices, completes }: Option<unknown>) => {
    if (placeholder === undefined) return "";
    if (completes === "file") return " -r -F";
    const values = choices?.join(" ") ?? (completes === undefined ? undefined : FISH_ARGUMENTS[completes]);
    return values === undefined ? " -x" : ` -x -k -a ${quoted(values)}`;
  };
  const keyPlace = (command: Command) =>
    `__orchesjob_at_operand${takesSeveral(command) ? "s" : ""} ${command.name}`;
  const cases = (entries: readonly (readonly [names: readonly string[], line: string])[]) =>
    entries.flatMap(([names, text]) => [`        case ${names.join(" ")}`, `            ${text}`]);
  return fill(script, {
    TABLES: [
      "# Prints the command's own name for an alias.",
      "function __orchesjob_name",
      "    switch $argv[1]",
      ...cases(
        listed
          .filter(({ command }) => command.aliases !== undefined)
          .map(({ command }) => [command.aliases!, `echo ${command.name}`] as const),
      ),
      "        case '*'",
      "            echo -- $argv[1]",
      "    end",
      "end",
      "",
      "# Whether options may follow the operands of a command.",
      "function __orchesjob_interleaved",
      `    contains -- $argv[1] ${listed
        .filter(({ command }) => command.isInterleaved === true)
        .map(({ command }) => command.name)
        .join(" ")}`,
      "end",
      "",
      "# Prints the options of a command that take the next word as their value.",
      "function __orchesjob_valued",
      "    switch $argv[1]",
      ...cases(
        listed.map(({ command, options }) => {
          const valued = options.filter((option) => option.placeholder !== undefined);
          return [
            [command.name],
            `string split ' ' -- ${quoted(valued.flatMap(({ flag, short }) => (short === undefined ? [flag] : [flag, short])).join(" "))}`,
          ];
        }),
      ),
      "    end",
      "end",
    ],
    OPTIONS: listed.flatMap(({ command, names, options }) => [
      ...names.map((name) => line("__orchesjob_at_command", `-a ${name} -d ${quoted(command.summary)}`)),
      ...options.map((option) =>
        line(
          `__orchesjob_at_options ${command.name}`,
          `${option.short === undefined ? "" : `-s ${option.short.slice(1)} `}-l ${option.flag.slice(2)}${value(option)} -d ${quoted(help(option))}`,
        ),
      ),
      ...(takesCommand(command)
        ? [line(`__orchesjob_at_operands ${command.name}`, `-x -a '(__orchesjob_command_line)'`)]
        : []),
      ...(takesKeys(command) ? [line(keyPlace(command), "-x -k -a '(__orchesjob_keys)'")] : []),
      ...(command.operandChoices === undefined
        ? []
        : [
            line(
              `__orchesjob_at_operand ${command.name}`,
              `-x -a ${quoted(command.operandChoices.join(" "))}`,
            ),
          ]),
    ]),
  });
}
