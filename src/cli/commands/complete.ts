import { suggest } from "../../jobs/suggest.ts";
import { defineCommand } from "../command.ts";
import { sanitize } from "../output/sanitize.ts";

/** Internal: the completion scripts run it while a person types. It reports no errors, which would garble the command line. */
export const complete = defineCommand({
  name: "_complete",
  summary: "Print possible values of an option, one per line, with a description",
  operands: "run-key|key-word|job-id|label|label-name|field [PREFIX]",
  options: {},
  examples: [],
  nonBlocking: true,
  async run({ operands: [kind = "", prefix = ""], context, output }) {
    try {
      const found =
        kind === "field"
          ? (await import("../completion/fields.ts")).suggestFields(prefix)
          : await suggest(context, kind, prefix);
      // A value must be exact. One that a terminal cannot show as it is, and that no person types, is not offered.
      const safe = found.filter(({ value }) => sanitize(value) === value);
      output.text(safe.map(({ value, remark }) => `${value}\t${sanitize(remark)}\n`).join(""));
    } catch {
      // No message in the middle of typing: the command itself will report the error.
    }
    return 0;
  },
});
