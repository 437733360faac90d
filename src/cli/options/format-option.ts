/** The option `--format`. */
import { optional } from "../command.ts";
import { oneOf } from "./values.ts";

export const FORMATS = ["json", "table"] as const;
export const formatOption = optional(
  "--format",
  "FORMAT",
  "Output format (default: json); table is for people",
  oneOf("--format", FORMATS),
);
