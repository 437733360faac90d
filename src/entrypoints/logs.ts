import { logs } from "../cli/commands/logs.ts";
import { entryPointOf } from "../app/run-command.ts";

export const main = entryPointOf(logs);
