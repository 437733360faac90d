import { logs } from "../cli/commands/logs.ts";
import { rootOf } from "../run-command.ts";

export const main = rootOf(logs);
