import { OrchesjobError } from "../../job/errors.ts";
import { defineCommand } from "../command.ts";
import { HELP_OPTION, optionHelp } from "../help/help.ts";
import { oneOf } from "../options/values.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
const readShell = oneOf("the shell", SHELLS);

export const completion = defineCommand({
  name: "completion",
  summary: "Print the completion script for a shell: bash, zsh or fish",
  operands: SHELLS.join("|"),
  operandChoices: SHELLS,
  options: {},
  examples: [
    "orchesjob completion bash > /usr/share/bash-completion/completions/orchesjob",
    "orchesjob completion zsh > /usr/local/share/zsh/site-functions/_orchesjob",
    "orchesjob completion fish > /etc/fish/completions/orchesjob.fish",
  ],
  async run({ operands, output, program }) {
    if (operands.length !== 1) {
      throw new OrchesjobError("usage", `name one shell: orchesjob completion ${SHELLS.join("|")}`);
    }
    const shell = readShell(operands[0]!);
    // On demand: it is needed once per installation.
    const { completionScript } = await import("../completion/completion.ts");
    output.text(completionScript(shell, program.commands, { help: optionHelp, helpOption: HELP_OPTION }));
    return 0;
  },
});
