import { DEFAULT_HOME } from "../../state/paths.ts";
import { defineCommand } from "../command.ts";
import { ENVIRONMENT, exitCodeMeanings, HELP_OPTION, optionHelp, usage } from "../help/help.ts";

export const man = defineCommand({
  name: "man",
  summary: "Print the man page (roff)",
  options: {},
  examples: ["orchesjob man > /usr/local/share/man/man1/orchesjob.1"],
  async run({ output, program }) {
    // On demand: it is needed once per installation.
    const { manual } = await import("../help/manual.ts");
    output.text(
      manual(program.commands, {
        version: program.version,
        defaultHome: DEFAULT_HOME,
        usage,
        help: optionHelp,
        helpOption: HELP_OPTION,
        environment: ENVIRONMENT,
        exitCodes: exitCodeMeanings(),
      }),
    );
    return 0;
  },
});
