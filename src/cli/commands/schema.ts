import { OrchesjobError } from "../../job/errors.ts";
import { defineCommand } from "../command.ts";
import { nearest } from "../help/nearest.ts";

/** The commands that print JSON. test/cli/schema.test.ts compares it with the declarations. */
const ANSWERING = [
  "start",
  "status",
  "list",
  "ps",
  "wait",
  "attach",
  "result",
  "cancel",
  "rerun",
  "unlock",
  "clean",
  "fleet",
  "systemd",
  "serve",
  "doctor",
  "schema",
] as const;

export const schema = defineCommand({
  name: "schema",
  summary: "Print JSON Schema (2020-12) of what a command prints as JSON, or of all commands",
  operands: "[COMMAND]",
  operandChoices: ANSWERING,
  isInterleaved: true,
  options: {},
  examples: ["orchesjob schema status", "orchesjob schema > orchesjob.schema.json"],
  answer: async () => (await import("../answers/upkeep.ts")).SCHEMA,
  async run({ operands: [name, ...rest], output, program: { commands, version } }) {
    if (rest.length > 0)
      throw new OrchesjobError(
        "usage",
        `schema takes one command, not also ${JSON.stringify(rest[0])}`,
        "without a command it prints all of them",
      );
    // On demand: no other command needs it.
    const { schemaOf, schemaOfAll } = await import("../answers/document.ts");
    if (name === undefined) {
      output.json(await schemaOfAll(commands, version));
      return 0;
    }
    const command = commands.find((each) => each.name === name || each.aliases?.includes(name));
    if (command === undefined)
      throw unknown(
        name,
        commands.map((each) => each.name),
      );
    const found = await schemaOf(command, version);
    if (found === undefined)
      throw new OrchesjobError(
        "usage",
        `${command.name} prints no JSON`,
        `these do: ${ANSWERING.join(", ")}`,
      );
    output.json(found);
    return 0;
  },
});

function unknown(name: string, commands: readonly string[]): OrchesjobError {
  const meant = nearest(name, commands);
  return new OrchesjobError(
    "usage",
    `there is no command ${JSON.stringify(name)}`,
    meant === undefined ? "see: orchesjob --help" : `did you mean ${meant}?`,
  );
}
