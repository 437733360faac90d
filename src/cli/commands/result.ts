import { OrphanFinder } from "../../jobs/orphan-finder.ts";
import { withResult } from "../../jobs/result.ts";
import { defineCommand, withDefault } from "../command.ts";
import type { ResultView } from "../answers/job.ts";
import { jsonPieces, LongText } from "../output/long-json.ts";
import { keyOperand, selectorOptions, toSelector } from "../options/selectors.ts";
import { wholeNumber } from "../options/values.ts";
import { jobView } from "../output/views.ts";

export const result = defineCommand({
  name: "result",
  summary: "Print a finished job together with its output, in one answer",
  ...keyOperand,
  options: {
    ...selectorOptions,
    maxBytes: withDefault(
      "--max-bytes",
      "N",
      "The last N bytes of each stream (default: 65536)",
      wholeNumber("--max-bytes", 0),
      65_536,
    ),
  },
  examples: ["orchesjob result --job-id ID", "orchesjob result nightly-backup --max-bytes 1000"],
  answer: async () => (await import("../answers/job.ts")).RESULT,
  async run({ options, operands, context, output }) {
    const finder = new OrphanFinder(context);
    await withResult(context, toSelector(options, operands), options.maxBytes, ({ job, stdout, stderr }) =>
      output.jsonPieces(
        jsonPieces<ResultView>({
          ...jobView(context.home, job, finder.find(job)),
          stdout: new LongText(stdout.chunks),
          stdout_truncated: stdout.truncated,
          stderr: new LongText(stderr.chunks),
          stderr_truncated: stderr.truncated,
        }),
      ),
    );
    await finder.keep();
    return 0;
  },
});
