/**
 * Generates the completion scripts: a fixed part for each shell, and tables from the declarations of the commands. The scripts
 * ask `orchesjob _complete` for run keys and job ids.
 */
import type { Command, Option } from "../command.ts";
import bash from "./completion.bash" with { type: "text" };
import fish from "./completion.fish" with { type: "text" };
import zsh from "./completion.zsh" with { type: "text" };

export type Shell = "bash" | "zsh" | "fish";

/** Texts from help.ts. The caller passes them in, so that this file, which is loaded on demand, does not import help.ts. */
export interface Wording {
  /** The help of an option, in one line. */
  readonly help: (option: Option<unknown>) => string;
  /** The option that every command has. */
  readonly helpOption: Option<unknown>;
}

export function completionScript(shell: Shell, commands: readonly Command[], wording: Wording): string {
  const listed = commands.map((command) => ({
    command,
    names: [command.name, ...(command.aliases ?? [])],
    options: [...Object.values(command.options), wording.helpOption],
  }));
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](listed, wording);
}

interface Listed {
  readonly command: Command;
  readonly names: readonly string[];
  readonly options: readonly Option<unknown>[];
}

const takesKeys = ({ operandCompletes }: Command) => operandCompletes === "run-key";
const takesSeveral = ({ operands }: Command) => operands?.endsWith("...]") === true;

const takesCommand = ({ operands, operandChoices, operandCompletes }: Command) =>
  operands !== undefined && operandChoices === undefined && operandCompletes === undefined;

/** Replaces `@NAME@` in a script. Not with `replaceAll`, which would interpret a `$` in the text. */
function fill(script: string, parts: Readonly<Record<string, readonly string[]>>): string {
  return Object.entries(parts).reduce(
    (text, [mark, lines]) => text.split(`@${mark}@`).join(lines.join("\n")),
    script,
  );
}

/** Quotes a text for bash or zsh. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function bashScript(listed: readonly Listed[]): string {
  const words = (values: readonly string[]) => `(${values.map(quote).join(" ")})`;
  const commandCases = listed.flatMap(({ command, names, options }) => [
    `    ${names.join(" | ")})`,
    `      name=${command.name}`,
    `      flags=${words(options.map((option) => option.flag))}`,
    `      repeatable=${words(options.filter((option) => option.repeatable).map((option) => option.flag))}`,
    `      interleaved=${command.isInterleaved === true ? 1 : 0}`,
    `      operand_choices=${words(command.operandChoices ?? [])}`,
    `      kind_of_operands=${takesCommand(command) ? "command" : takesKeys(command) ? "key-word" : "''"}`,
    `      has_several=${takesSeveral(command) ? 1 : 0}`,
    "      ;;",
  ]);
  const optionCases = listed.flatMap(({ command, options }) =>
    options
      .filter((option) => option.placeholder !== undefined)
      .map(({ flag, choices, completes }) => {
        const kind = choices === undefined ? (completes ?? "any") : `choice choices=${words(choices)}`;
        return `    '${command.name} ${flag}') kind=${kind} ;;`;
      }),
  );
  const shortCases = listed.flatMap(({ command, options }) =>
    options
      .filter((option) => option.short !== undefined)
      .map(({ flag, short }) => `    '${command.name} ${short}') flag=${flag} ;;`),
  );
  return fill(bash, {
    TABLES: [
      `_orchesjob_commands=${words(listed.flatMap(({ names }) => names))}`,
      "",
      "# Sets the facts about a command; fails if there is none of that name.",
      "_orchesjob_command() {",
      "  case $1 in",
      ...commandCases,
      "    *) return 1 ;;",
      "  esac",
      "}",
      "",
      "# Sets what the value of a command's option may be; fails if the option takes no value.",
      "_orchesjob_option() {",
      '  case "$1 $2" in',
      ...optionCases,
      "    *) return 1 ;;",
      "  esac",
      "}",
      "",
      "# Sets the long form of a command's short option.",
      "_orchesjob_long() {",
      '  case "$1 $2" in',
      ...shortCases,
      "    *) flag=$2 ;;",
      "  esac",
      "}",
    ],
  });
}

const ZSH_ACTIONS = {
  "run-key": "_orchesjob_run_keys",
  "job-id": "_orchesjob_job_ids",
  directory: "_directories",
  file: "_files",
} as const;

function zshScript(listed: readonly Listed[], { help }: Wording): string {
  const escape = (text: string, special: RegExp) => text.replace(special, "\\$&");
  const specifications = (option: Option<unknown>) => {
    const { flag, short, placeholder, repeatable, choices, completes } = option;
    const explained = `[${escape(help(option), /[\\\[\]]/g)}]`;
    const action =
      choices === undefined
        ? completes === undefined
          ? " "
          : ZSH_ACTIONS[completes]
        : `(${choices.join(" ")})`;
    const value = placeholder === undefined ? "" : `:${escape(placeholder, /[\\:]/g)}:${action}`;
    const excluded = flag === "--help" ? "(- *)" : short === undefined ? "" : `(${short} ${flag})`;
    const form = (name: string) => quote(`${repeatable ? "*" : excluded}${name}${explained}${value}`);
    const [afterLong, afterShort] = placeholder === undefined ? ["", ""] : ["=", "+"];
    return [form(`${flag}${afterLong}`), ...(short === undefined ? [] : [form(`${short}${afterShort}`)])];
  };
  const operands = (command: Command) =>
    command.operandChoices === undefined
      ? takesCommand(command)
        ? [quote("*::command: _normal")]
        : takesKeys(command)
          ? [quote(`${takesSeveral(command) ? "*" : "1"}:run key:_orchesjob_key_words`)]
          : []
      : [quote(`1:word:(${command.operandChoices.join(" ")})`)];
  return fill(zsh, {
    TABLES: [
      "_orchesjob_commands() {",
      "  local -a commands=(",
      ...listed.flatMap(({ command, names }) =>
        names.map((name) => `    ${quote(`${name}:${escape(command.summary, /[\\:]/g)}`)}`),
      ),
      "  )",
      "  _describe -t commands command commands",
      "}",
      "",
      "_orchesjob_arguments() {",
      "  case $1 in",
      ...listed.flatMap(({ command, names, options }) => [
        `    (${names.join("|")})`,
        `      _arguments -S ${command.isInterleaved === true ? "" : "-A '-*' "}\\`,
        [...options.flatMap(specifications), ...operands(command)]
          .map((text) => `        ${text}`)
          .join(" \\\n"),
        "      ;;",
      ]),
      "    (*) return 1 ;;",
      "  esac",
      "}",
    ],
  });
}

const FISH_ARGUMENTS = {
  "run-key": "(__orchesjob_live run-key)",
  "job-id": "(__orchesjob_live job-id)",
  directory: "(__orchesjob_directories)",
} as const;

function fishScript(listed: readonly Listed[], { help }: Wording): string {
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
  return fill(fish, {
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
