import { suggest } from "../../jobs/suggest.ts";
import { defineCommand } from "../command.ts";
import { sanitize } from "../output/sanitize.ts";

/** Not for people: the completion scripts ask it while somebody types. Whatever goes wrong, it has nothing to say. */
export const complete = defineCommand({
  name: "_complete",
  summary: "Print what a value may be, one a line",
  operands: "run-key|job-id [PREFIX]",
  options: {},
  examples: [],
  peeks: true,
  async run({ operands: [kind, prefix = ""], context, output }) {
    try {
      const found = kind === "run-key" || kind === "job-id" ? await suggest(context, kind, prefix) : [];
      output.text(
        found
          .map(({ value, remark }) =>
            remark === undefined ? `${value}\n` : `${value}\t${sanitize(remark)}\n`,
          )
          .join(""),
      );
    } catch {
      // Nobody who presses a key wants to read it here; the command itself will say it.
    }
    return 0;
  },
});
