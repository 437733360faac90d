import { status } from "../cli/commands/status.ts";
import { rootOf } from "../app/run-command.ts";

export const main = rootOf(status);
