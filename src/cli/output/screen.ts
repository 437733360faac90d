/** Shows jobs on one screen, once or again and again. */
import type { Job } from "../../job/job.ts";
import type { Home } from "../../state/paths.ts";
import type { Output } from "./output.ts";
import { asText, tellingLines } from "./table.ts";

const CURSOR_HOME = "\u001b[H";
const CLEAR_BELOW = "\u001b[J";
const CLEAR_TO_LINE_END = "\u001b[K";

/** Time between two refreshes, in ms. */
const WATCH_STEP_MS = 1_000;

/** For a terminal that does not know its height. */
const USUAL_ROWS = 24;

export interface Picture {
  readonly jobs: readonly Job[];
  /** There may be more: they were read up to a limit. */
  readonly isCut: boolean;
}

/** A table of as many jobs as the terminal has room for, and how many more there are. The last row is left for the cursor. */
function drawScreen(output: Output, home: Home, { jobs, isCut }: Picture): readonly string[] {
  const height = Math.max(2, (output.rows() || Number(process.env["LINES"]) || USUAL_ROWS) - 1);
  if (jobs.length + 1 <= height) return tellingLines(output.columns(), jobs, home);
  const shown = Math.max(1, height - 2);
  const more = `… ${jobs.length - shown} more${isCut ? ", and older ones" : ""}`;
  return [...tellingLines(output.columns(), jobs.slice(0, shown), home), ...(height > 2 ? [more] : [])];
}

export function printScreen(output: Output, home: Home, picture: Picture): void {
  output.text(asText(drawScreen(output, home, picture)));
}

/**
 * Draws each picture over the previous one until Ctrl-C, and clears line by line, so that nothing flickers. Each is cleared before
 * it is drawn: behind a line as wide as the terminal, the cursor is still on its last character.
 */
export async function watchScreen(output: Output, home: Home, load: () => Promise<Picture>): Promise<void> {
  let stopped = false;
  process.on("SIGINT", () => (stopped = true));
  output.text(CURSOR_HOME + CLEAR_BELOW);
  while (!stopped) {
    const lines = drawScreen(output, home, await load());
    output.text(CURSOR_HOME + lines.map((line) => `${CLEAR_TO_LINE_END}${line}\n`).join("") + CLEAR_BELOW);
    await Bun.sleep(WATCH_STEP_MS);
  }
}
