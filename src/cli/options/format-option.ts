/** The option by which a command is asked for a table. */
import { optional } from "../command.ts";
import { oneOf } from "./values.ts";

export const FORMATS = ["json", "table"] as const;
export const formatOption = optional(
  "--format",
  "FORMAT",
  "How to print it (default: json); a table is for people",
  oneOf("--format", FORMATS),
);
