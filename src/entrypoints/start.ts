import { start } from "../cli/commands/start.ts";
import { entryPointOf } from "../app/run-command.ts";

export const main = entryPointOf(start);
