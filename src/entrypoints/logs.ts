import { logs } from "../cli/commands/logs.ts";
import { rootOf } from "../app/run-command.ts";

export const main = rootOf(logs);
