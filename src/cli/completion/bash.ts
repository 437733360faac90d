/** Completion for bash. */
import script from "./completion.bash" with { type: "text" };
import { fill, type Listed, quote, takesCommand, takesKeys, takesSeveral } from "./listed.ts";

export function bashScript(listed: readonly Listed[]): string {
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
  return fill(script, {
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
