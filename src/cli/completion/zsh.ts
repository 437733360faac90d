/** Completion for zsh. */
import type { Command, Option } from "../command.ts";
import script from "./completion.zsh" with { type: "text" };
import { fill, type Listed, quote, takesCommand, takesKeys, takesSeveral, type Wording } from "./listed.ts";

const ZSH_ACTIONS = {
  "run-key": "_orchesjob_run_keys",
  "job-id": "_orchesjob_job_ids",
  label: "_orchesjob_labels",
  "label-name": "_orchesjob_label_names",
  field: "_orchesjob_fields",
  directory: "_directories",
  file: "_files",
} as const;

export function zshScript(listed: readonly Listed[], { help }: Wording): string {
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
  return fill(script, {
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
