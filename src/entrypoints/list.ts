import { list } from "../cli/commands/list.ts";
import { entryPointOf } from "../app/run-command.ts";

export const main = entryPointOf(list);
