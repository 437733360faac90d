import { start } from "../cli/commands/start.ts";
import { rootOf } from "../app/run-command.ts";

export const main = rootOf(start);
