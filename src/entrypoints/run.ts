import { run } from "../cli/commands/run.ts";
import { entryPointOf } from "../app/run-command.ts";

export const main = entryPointOf(run);
