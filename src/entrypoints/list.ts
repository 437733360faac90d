import { list } from "../cli/commands/list.ts";
import { rootOf } from "../app/run-command.ts";

export const main = rootOf(list);
