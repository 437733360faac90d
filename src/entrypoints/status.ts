import { status } from "../cli/commands/status.ts";
import { entryPointOf } from "../app/run-command.ts";

export const main = entryPointOf(status);
