/** Text from outside (a run key, a path, a command) where people read it. */

import { CONTROL_CHARACTERS } from "../../job/control-characters.ts";

/** What moves the cursor, ends a line, or turns the direction of writing. */
const NOT_SHOWN = new RegExp(
  `[${CONTROL_CHARACTERS}\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]`,
  "g",
);

/** Shows a dot for each character that a terminal would obey. */
export function sanitize(text: string): string {
  return text.replace(NOT_SHOWN, "·");
}
