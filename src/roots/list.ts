import { list } from "../cli/commands/list.ts";
import { rootOf } from "../run-command.ts";

export const main = rootOf(list);
