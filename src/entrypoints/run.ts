import { run } from "../cli/commands/run.ts";
import { rootOf } from "../app/run-command.ts";

export const main = rootOf(run);
